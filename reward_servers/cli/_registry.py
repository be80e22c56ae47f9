"""``assay registry``: where servers announce themselves and clients find them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def registry(
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML): its [server] and [auth] count.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless the settings say.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = None,
    state: Annotated[
        Path | None, typer.Option(help="File (SQLite) that a restart reads; without it, all is in memory.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve in plain text on an address that others can reach.")
    ] = False,
) -> int:
    """Keep the list of servers until SIGTERM or Ctrl-C.

    Servers announce themselves with `assay serve NAME... --registry HOST:PORT` and leave the list when they drain, or
    when their lease ends. Clients are given `registry://HOST:PORT` as their endpoints. Two registries can serve one
    fleet; while there is none, servers and clients go on with what they know.

    One line `listening on HOST:PORT` on stdout says that it answers.
    """
    import logging
    import sqlite3

    from reward_servers.config import load_config
    from reward_servers.core import SettingsError
    from reward_servers.observe import set_up_logging
    from reward_servers.registry import serve_registry

    set_up_logging(logging.INFO, "text")
    settings = load_config(config, host=host, port=port, insecure=insecure or None)
    try:
        asyncio.run(serve_registry(settings, state, lambda address: print(f"listening on {address}", flush=True)))
    except sqlite3.Error as error:
        remedy = (
            "another registry has it; give each a file of its own"
            if "locked" in str(error)
            else "give the path of a registry's file or of a new one, or remove it: servers announce themselves again"
        )
        raise SettingsError(f"--state {state}: {error}; {remedy}") from None
    return 0
