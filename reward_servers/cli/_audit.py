"""``assay audit``: what moves a judge's verdicts that should not."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._access import Ca, Cert, Endpoint, Json, Key, ServerSettings, Token, tls_of
from reward_servers.cli._console import print_json, print_note
from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from reward_servers.auditing import Audit, Report
    from reward_servers.cli._scoring import Session
    from trainer_client import ScoreTable


def audit(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to audit: judge.")],
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Rollouts; labels in `expected` where known.")],
    endpoint: Endpoint = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    config: ServerSettings = None,
    options: Annotated[str | None, typer.Option(metavar="JSON", help="Options of the judge.")] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="A model to hold beside the others. Repeatable.")
    ] = None,
    max_items: Annotated[int, typer.Option(help="Rollouts at most; each takes about eight questions.", min=1)] = 200,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write the report to (JSON).")] = None,
    plots: Annotated[Path | None, typer.Option(help="Directory for pictures of it.")] = None,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the server's log.")] = False,
) -> int:
    """Audit a judge: order, length, padding, plants, repetition, calibration, agreement.

    Each rollout is judged as it is, asked again, padded with words that say nothing, and with plants of four kinds;
    neighbours of one prompt are compared in both orders.
    """
    from reward_servers.auditing import AuditError, plan_audit, report_of
    from reward_servers.cli._check import read_options, running_server, started_server
    from reward_servers.cli._whole_file import refuse_overwriting, whole_file
    from trainer_client import read_rollouts

    if kind != "judge":
        raise UserError(f"KIND: {kind!r} cannot be audited; there is judge")
    if out is not None:
        refuse_overwriting("--out", out, {"the input": source, "the settings": config})
    labelled = read_rollouts(source)
    for problem in labelled.problems:
        print_note(f"{source}: {problem}")
    try:
        planned = plan_audit(labelled.rollouts, options=read_options(options), models=models or (), items=max_items)
    except AuditError as error:
        raise UserError(f"{source}: {error}") from None
    if endpoint is None:
        session = started_server("judge", ("judge",), config, None, verbose=verbose)
    else:
        session = running_server("judge", endpoint, tls_of(ca, cert, key), token, verbose=verbose)
    report = report_of(planned, asyncio.run(_ask(session, planned)))
    if out is not None:
        with whole_file(out) as file:
            file.write(json.dumps(report.as_dict(), indent=2) + "\n")
    _show(report, as_json=as_json)
    if plots is not None:
        _draw(report, plots)
    return 0


async def _ask(session: Session, planned: Audit) -> ScoreTable:
    from reward_servers.cli._console import progress
    from reward_servers.cli._scoring import score_all

    async with session:
        with progress(len(planned.probes), "auditing") as advance:
            return await session.run(score_all(await session.client(planned.recipe), planned.probes, advance))


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
        return
    rows = report.lines()
    width = max(len(name) for name, _ in rows)
    for name, figure in rows:
        print(f"{name:<{width}}  {figure}")


def _draw(report: Report, folder: Path) -> None:
    from reward_servers.auditing import plot

    try:
        files = plot(report, folder)
    except ImportError as error:
        raise UserError(f"--plots: {error}; install it with: pip install 'assay[plots]'") from None
    print("\n".join(f"wrote {file}" for file in files), file=sys.stderr)
