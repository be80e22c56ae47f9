"""``assay doctor``: what is missing on this host, and the command that mends it."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def doctor(
    verifiers: Annotated[
        list[str] | None, typer.Argument(metavar="[VERIFIER...]", help="Say what these need; all areas unless said.")
    ] = None,
    port: Annotated[int, typer.Option(help="A port that a server is to listen on.", min=0, max=65535)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say what is missing here and how to mend it.

    Exit code 1 when something is missing that a named verifier needs, else 0.
    """
    from reward_servers.cli._console import print_table
    from reward_servers.cli._findings import examine

    findings = examine(verifiers or [], port)
    lacking = [one for one in findings if one.required and not one.ok]
    if as_json:
        print(json.dumps({"ok": not lacking, "findings": [one.to_dict() for one in findings]}, indent=1))
        return int(bool(lacking))
    rows = [
        [one.area, one.what, "ok" if one.ok else "missing" if one.required else "absent", one.detail, one.remedy]
        for one in findings
    ]
    print_table(("area", "what", "state", "found", "to mend it"), rows)
    if lacking:
        print(f"missing for {', '.join(verifiers or [])}: {', '.join(one.what for one in lacking)}")
    return int(bool(lacking))
