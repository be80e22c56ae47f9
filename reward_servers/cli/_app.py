"""Puts the commands together and turns what ends them into an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from reward_servers.cli import (
    _audit,
    _check,
    _compare,
    _data,
    _doctor,
    _gateway,
    _health,
    _list,
    _methods,
    _new,
    _plan,
    _recipe,
    _register,
    _registry,
    _replay,
    _report,
    _rubric,
    _score,
    _serve,
    _top,
    _train,
    _try,
    _up,
    _view,
)
from reward_servers.cli._console import print_json, printable
from reward_servers.cli._errors import (
    EXIT_BROKEN_PIPE,
    EXIT_DEFECT,
    EXIT_INTERRUPTED,
    EXIT_USER_ERROR,
    describe,
    unexpected,
)

COMMANDS: tuple[tuple[str, Callable[..., int]], ...] = (
    ("serve", _serve.serve),
    ("up", _up.up),
    ("gateway", _gateway.gateway),
    ("registry", _registry.registry),
    ("register", _register.register),
    ("retire", _register.retire),
    ("health", _health.health),
    ("top", _top.top),
    ("recipe", _recipe.recipe),
    ("score", _score.score),
    ("plan", _plan.plan),
    ("report", _report.report),
    ("view", _view.view),
    ("compare", _compare.compare),
    ("replay", _replay.replay),
    ("try", _try.try_verifier),
    ("check", _check.check),
    ("audit", _audit.audit),
    ("list", _list.list_verifiers),
    ("new", _new.new),
    ("methods", _methods.methods),
    ("data", _data.data),
    ("train", _train.train),
    ("rubric", _rubric.rubric),
    ("doctor", _doctor.doctor),
)
"""Name and function of each command. A new command is a module and a line here."""

# typer may carry its own copy of click, so the class of usage errors is taken from it.
_UsageError: Any = typer.BadParameter.__base__


def _build(show_debug: Callable[[], None]) -> typer.Typer:
    app = typer.Typer(
        name="assay",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
        version: Annotated[
            bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
        ] = False,
    ) -> None:
        """Reward and verifier servers for RL post-training of language models."""
        if debug:
            show_debug()

    for name, function in COMMANDS:
        app.command(name)(function)
    return app


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from reward_servers import __version__

        print(f"assay {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: What follows the name of the command.

    Returns:
        The exit code.
    """
    debug: list[bool] = []
    command = typer.main.get_command(_build(lambda: debug.append(True)))
    try:
        code = command.main(list(arguments), prog_name="assay", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # The reader of the output has seen enough (click turns that into an exit code that is a "no" here).
        _give_up_output()
        return EXIT_BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except _UsageError as error:
        return _usage(error)
    except Exception as error:  # noqa: BLE001 - printed whole below, unless the user can mend it
        return _tell(error, is_debug=bool(debug), as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _tell(error: Exception, *, is_debug: bool, as_json: bool) -> int:
    """Say what ended a command, as far as the standard streams take it, and give the exit code."""
    line = describe(error)
    try:
        if as_json:
            print_json({"error": line or unexpected(error)})
        sys.stdout.flush()
    except OSError:
        _give_up_output()
    trace = "".join(traceback.format_exception(error)) if is_debug or line is None else ""
    _print_error(f"{trace}error: {line or unexpected(error)}")
    return EXIT_USER_ERROR if line is not None else EXIT_DEFECT


def _print_error(text: str) -> None:
    # Where standard error takes no more, the exit code alone tells.
    with contextlib.suppress(OSError):
        print(printable(text), file=sys.stderr, flush=True)


def _give_up_output() -> None:
    """See that nothing more is written to standard output, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(error: Any) -> int:
    # With no arguments the message is the help text itself.
    if type(error).__name__ == "NoArgsIsHelpError":
        _print_error(error.format_message())
        return EXIT_USER_ERROR
    path = error.ctx.command_path if error.ctx is not None else "assay"
    _print_error(f"error: {error.format_message()} (see `{path} --help`)")
    return EXIT_USER_ERROR
