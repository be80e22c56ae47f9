"""The command ``assay``: serve verifiers, score rollouts, check a verifier against labels, write a new one.

Nouns: a *command* is one module with one function, listed in ``_app.COMMANDS``; a *fleet* is the servers that a recipe
needs and that a command starts itself; a *user error* is one line on stderr and exit code 2.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

__all__ = ["main", "run"]

_TOOLS = ("typer", "click", "rich")


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code: 0 when it worked, 1 when the command says no, 2 for a mistake of the user.
    """
    _open_standard_streams()
    _let_standard_streams_take_any_text()
    # What goes wrong with a connection is said by the command itself, in its own words and place.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        # The base install is the trainer's client; the console script comes with it all the same.
        if error.name not in _TOOLS:
            raise
        print(
            f"error: the command needs the package {error.name}; install it with `pip install 'assay[server]'`",
            file=sys.stderr,
        )
        return 2


def _open_standard_streams() -> None:
    """Open the standard streams that this process was started without.

    A socket or a log that came to have one of their numbers would be taken for them, here and in child processes.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is that of the stream: those before it are open by now.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - stays open as long as the process


def _let_standard_streams_take_any_text() -> None:
    """Escape what the encoding of a stream lacks: a name in a file must not end a command that has done its work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str]) -> int:
    """Run a command line within this process, as a test or a notebook does.

    Args:
        arguments: Command and arguments, such as ``["list", "--json"]``.

    Returns:
        The exit code.
    """
    from reward_servers.cli import _app

    return _app.run(arguments)
