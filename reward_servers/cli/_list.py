"""``assay list``: the verifiers that are installed here, or those of a running server."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._errors import unexpected

if TYPE_CHECKING:
    from reward_servers.core import Verifier
    from trainer_client import TLS


def list_verifiers(
    endpoint: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Ask a running server instead.")] = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List the installed verifiers and whether they can run here, or those of a server.

    `ready`: it can be served as it is; `settings`: it needs a settings file that says what is named; `missing`: this
    host lacks what is named.
    """
    from reward_servers.cli._console import print_json

    rows = _installed() if endpoint is None else _hosted(endpoint, tls_of(ca, cert, key), token)
    if as_json:
        print_json(rows, indent=1)
    else:
        _print_table(rows)
    return 0


def _installed() -> list[dict[str, Any]]:
    from reward_servers.core import AssayServerError, installed

    rows: list[dict[str, Any]] = []
    for name, entry in installed().items():
        row: dict[str, Any] = {"name": name, "origin": f"{entry.distribution}, {entry.path}", "state": "missing"}
        try:
            verifier = entry.load()
        except AssayServerError as error:
            row["problem"] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a package does when it is imported, the others are listed
            row["problem"] = unexpected(error)
        else:
            row["state"], row["problem"] = _state(verifier)
            row |= {
                "version": verifier.version,
                "scope": verifier.scope,
                "runs": verifier.runs.value,
                "description": verifier.description,
                "deterministic": verifier.deterministic,
                "score_range": [verifier.low, verifier.high],
            }
        rows.append(row)
    return rows


def _state(verifier: Verifier) -> tuple[str, str]:
    """Whether it can be served here, and what it lacks."""
    from reward_servers.config import ServerConfig
    from reward_servers.core import Cost, SettingsError

    if verifier.cost is Cost.SANDBOX and (lack := _sandbox_lack()):
        return "missing", lack
    try:
        ServerConfig().check(verifier, "a settings file (--config)")
    except SettingsError as error:
        return "settings", str(error)
    return "ready", ""


@cache
def _sandbox_lack() -> str:
    """Why programs cannot be isolated here; empty where they can."""
    import sandbox

    try:
        with sandbox.open_sandbox():
            return ""
    except sandbox.SandboxError as error:
        return str(error)


def _hosted(endpoint: str, tls: TLS | None, token: str | None) -> list[dict[str, Any]]:
    from reward_servers.cli._remote import ask

    return ask(endpoint, tls, token)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from reward_servers.cli._console import print_table

    state_columns = ("state", "runs") if any("state" in row for row in rows) else ("cost",)
    # One package alone says nothing, and takes the room of what differs.
    origin = ("origin",) if len({_cell(row, "origin") for row in rows}) > 1 else ()
    columns = ("name", "version", "scope", *state_columns, "description", *origin)
    print_table(columns, [[_cell(row, column) for column in columns] for row in rows])


def _cell(row: dict[str, Any], column: str) -> str:
    if column == "origin":
        # The import path is for JSON; a reader wants to know which package it is.
        return str(row["origin"]).partition(",")[0]
    if column == "description" and row.get("problem"):
        return " - ".join(str(row[key]) for key in ("description", "problem") if row.get(key))
    return str(row.get(column, ""))
