"""``assay health``: whether servers answer and take work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._numbers import seconds

_UNHEALTHY = 1


def health(
    endpoints: Annotated[list[str] | None, typer.Argument(metavar="HOST:PORT...", help="Servers to ask.")] = None,
    endpoints_file: Annotated[Path | None, typer.Option(help="A file that says where servers are (JSON).")] = None,
    timeout_s: Annotated[float, seconds("Seconds to wait for an answer.", least=0.01)] = 5.0,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say whether servers answer and take work; the exit code is 1 when one does not."""
    from reward_servers.cli._console import print_json, print_line
    from reward_servers.cli._fleet_view import look, servers_told

    replicas = look(servers_told(endpoints or [], endpoints_file), tls_of(ca, cert, key), token, timeout_s)
    if as_json:
        rows = [
            {"address": replica.address, "serving": replica.serving, "state": replica.state, "problem": replica.problem}
            for replica in replicas
        ]
        print_json(rows, indent=1)
    else:
        for replica in replicas:
            print_line(f"{replica.address}  {replica.state}{f': {replica.problem}' if replica.problem else ''}")
    return 0 if all(replica.serving for replica in replicas) else _UNHEALTHY
