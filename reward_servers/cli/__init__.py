"""The command ``assay``: serve verifiers, score rollouts, check a verifier against labels, write a new one.

Nouns: a *command* is one module with one function, listed in ``_app.COMMANDS``; a *fleet* is the servers that a recipe
needs and that a command starts itself; a *user error* is one line on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

_TOOLS = ("typer", "click", "rich")


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code: 0 when it worked, 1 when the command says no, 2 for a mistake of the user.
    """
    # What goes wrong with a connection is said by the command itself, in its own words and place.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from reward_servers.cli._app import run
    except ModuleNotFoundError as error:
        # The base install is the trainer's client; the console script comes with it all the same.
        if error.name not in _TOOLS:
            raise
        print(
            f"error: the command needs the package {error.name}; install it with `pip install 'assay[server]'`",
            file=sys.stderr,
        )
        return 2
    return run(sys.argv[1:])
