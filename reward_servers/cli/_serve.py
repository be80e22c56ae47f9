"""``assay serve``: one server process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import typer

from reward_servers.cli._loop import run_on_loop
from reward_servers.cli._numbers import worker_count
from reward_servers.process.parent import end_with_parent


def serve(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Verifiers: names, or module:attribute.")],
    style: Annotated[
        str,
        typer.Option("--as", metavar="STYLE", help="What module:attribute was written for, such as trl or verl."),
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless the settings say.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = None,
    workers: Annotated[int | None, worker_count("Worker processes; one per core unless said.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve in plain text on an address that others can reach.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port for metrics over HTTP; none unless said.", min=0, max=65535)
    ] = None,
    registry: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="Announce the server at this registry. Repeatable.")
    ] = None,
    name: Annotated[str, typer.Option(help="What recipes call the server, at the registry.")] = "",
    follow: Annotated[bool, typer.Option("--reload", help="Follow the files of verifiers, while developing.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(help="text, or json: one object a line.")] = "text",
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    peers: Annotated[Path | None, typer.Option("--peers", hidden=True)] = None,
    plain: Annotated[bool, typer.Option("--plain", hidden=True)] = False,
    import_path: Annotated[list[str] | None, typer.Option("--import-path", hidden=True)] = None,
    cache_bytes: Annotated[int | None, typer.Option("--cache-bytes", hidden=True, min=0)] = None,
) -> int:
    """Serve verifiers until SIGTERM or Ctrl-C.

    One line `listening on HOST:PORT verifiers=NAME,...` on stdout says that the server answers; logs go to stderr.
    SIGTERM finishes what was admitted and takes nothing new.
    """
    if not _runs_as_module():
        # Worker processes import the main module again: it must be one of this package, not the console script.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "reward_servers", *sys.argv[1:]])  # noqa: S606
    _set_up_logging(log_level, log_format)
    if with_parent:
        end_with_parent(signal.SIGTERM)
    names = _addresses(names, style)
    if any(":" in name or "+" in name for name in names):
        # A verifier being written lives in the working directory; at the end of the path it can shadow nothing.
        sys.path += [*(import_path or ()), os.getcwd()]
    from reward_servers.config import load_config
    from reward_servers.server import serve as serve_until_stopped

    settings = load_config(config, host=host, port=port, workers=workers, insecure=insecure or None)
    if metrics_port is not None:
        settings = settings.with_metrics(metrics_port)
    if registry or name:
        settings = settings.with_registry(registry or (), name)
    if plain:
        settings = settings.without_tls()
    if cache_bytes is not None:
        settings = settings.with_cache(cache_bytes)
    with _own_stdout() as stdout:
        ready = partial(_announce, names, stdout)
        run_on_loop(serve_until_stopped(settings, names, peers=peers, ready=ready, follow=follow))
    return 0


def _addresses(names: Sequence[str], style: str) -> list[str]:
    """The names, with the style before those that no package announces."""
    if not style:
        return list(names)
    from reward_servers.core import installed, styles

    if style not in styles():
        raise typer.BadParameter(f"{style!r} is not one of {', '.join(styles())}", param_hint="--as")
    verifiers = installed()
    return [name if name in verifiers or "+" in name.partition(":")[0] else f"{style}+{name}" for name in names]


def _runs_as_module() -> bool:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == "reward_servers.__main__"


def _set_up_logging(level: str, form: str) -> None:
    from reward_servers.observe import set_up_logging

    names = logging.getLevelNamesMapping()
    if level.upper() not in names:
        raise typer.BadParameter(f"{level!r} is not one of debug, info, warning, error", param_hint="--log-level")
    if form not in ("text", "json"):
        raise typer.BadParameter(f"{form!r} is neither text nor json", param_hint="--log-format")
    set_up_logging(names[level.upper()], form)


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Standard output for the line of the server; what the code of verifiers prints goes to standard error meanwhile.

    It stays open as long as the server runs: whoever reads it learns of the server's end by the end of it.
    """
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", errors="backslashreplace") as own:
        os.dup2(2, 1)
        try:
            with redirect_stdout(sys.stderr):
                yield own
        finally:
            os.dup2(own.fileno(), 1)


def _announce(names: Sequence[str], stdout: TextIO, address: str) -> None:
    from reward_servers.core import find

    # What a package announces has that name; to look it up again would hold the loop while metadata are read.
    served = dict.fromkeys(find(name).name if ":" in name or "+" in name else name for name in names)
    print(f"listening on {address} verifiers={','.join(served)}", file=stdout, flush=True)
