"""``assay doctor``: what is missing on this host, and the command that mends it."""

from __future__ import annotations

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
    from reward_servers.cli._console import print_json, print_table
    from reward_servers.cli._findings import examine

    findings = examine(verifiers or [], port)
    lacking = [finding for finding in findings if finding.required and not finding.ok]
    if as_json:
        print_json({"ok": not lacking, "findings": [finding.to_dict() for finding in findings]}, indent=1)
        return int(bool(lacking))
    rows = [
        [
            finding.area,
            finding.what,
            "ok" if finding.ok else "missing" if finding.required else "absent",
            finding.detail,
            finding.remedy,
        ]
        for finding in findings
    ]
    print_table(("area", "what", "state", "found", "to mend it"), rows)
    if lacking:
        print(f"missing for {', '.join(verifiers or [])}: {', '.join(finding.what for finding in lacking)}")
    return int(bool(lacking))
