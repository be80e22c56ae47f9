"""``assay score``: scores, rewards and advantages of the rollouts of a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._inputs import read_columns, unfitting
from reward_servers.cli._whole_file import refuse_overwriting, whole_file

if TYPE_CHECKING:
    from reward_servers.cli._outputs import TrainingSignal
    from reward_servers.cli._scoring import Session
    from trainer_client import TLS, Recipe, Rollout, RolloutFile, ScoreTable

_PROBLEMS_SHOWN = 20
_STDOUT = Path("-")


def score(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Rollouts, one per line.")],
    recipe: Annotated[Path, typer.Option("--recipe", "-r", help="Recipe file (TOML).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write, one line per rollout; - for standard output.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where the file has a field. Repeatable, or with commas."),
    ] = None,
    endpoints_file: Annotated[Path | None, typer.Option(help="Where the servers are, as `assay up` writes it.")] = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes of each server that is started.", min=1)] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Write what each verifier extracted and compared. May quote references.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the servers log.")] = False,
) -> int:
    """Score the rollouts of a file by a recipe.

    Servers that neither the recipe nor --endpoints-file gives an address for are started, and stopped at the end. A
    line that cannot be used is reported with its number; the others are scored.

    Exit code 0: scored; 1: scored, but more scores are missing than the recipe tolerates; 2: the input or the recipe is
    wrong.
    """
    from reward_servers.cli._outputs import describe_run, print_run, training_signal_of
    from trainer_client import Recipe

    loaded = Recipe.load(recipe)
    if out is not None and out != _STDOUT:
        refuse_overwriting(
            "--out", out, {"the input": source, "the recipe": recipe, "the file of endpoints": endpoints_file}
        )
    elif out is not None and as_json:
        raise UserError("--out - and --json both write to standard output; choose one, or name a file")
    found = _read(source, read_columns(columns or ()))
    access = (tls_of(ca, cert, key), token)
    session = _session(loaded, recipe.parent, endpoints_file, access, workers, verbose=verbose)
    table, seconds = asyncio.run(_run(session, found.rollouts, loaded))
    signal = training_signal_of(table)
    if out is not None:
        _write(out, found.rollouts, table, signal, evidence=evidence)
    summary = replace(table.summary(), seconds=seconds)
    outcome = describe_run(summary, table, signal, found)
    for problem in outcome["label_problems"]:
        print(f"{source}: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps(outcome, ensure_ascii=False))
    else:
        with contextlib.redirect_stdout(sys.stderr if out == _STDOUT else sys.stdout):
            print_run(summary, outcome, None if out == _STDOUT else out)
    return EXIT_NO if outcome["incomplete"] else 0


def _read(source: Path, columns: Mapping[str, str]) -> RolloutFile:
    from trainer_client import read_rollouts

    found = read_rollouts(source, columns)
    if not found.rollouts and found.columns:
        raise UserError(unfitting(source, found, columns))
    for problem in found.problems[:_PROBLEMS_SHOWN]:
        print(f"{source}: {problem}", file=sys.stderr)
    if len(found.problems) > _PROBLEMS_SHOWN:
        print(f"{source}: {len(found.problems) - _PROBLEMS_SHOWN} more lines cannot be used", file=sys.stderr)
    if not found.rollouts:
        raise UserError(f"{source}: no line can be used as a rollout")
    return found


def _session(
    recipe: Recipe,
    folder: Path,
    endpoints_file: Path | None,
    access: tuple[TLS | None, str | None],
    workers: int | None,
    *,
    verbose: bool,
) -> Session:
    """The recipe's servers: those that run elsewhere, and those that are started for this command alone."""
    from reward_servers.cli._fleet import QuietLog, read_endpoints
    from reward_servers.cli._scoring import Session
    from reward_servers.fleet import addresses_elsewhere, programs_of, verifiers_elsewhere

    servers = recipe.all_servers
    endpoints = read_endpoints(endpoints_file, servers) if endpoints_file is not None else {}
    elsewhere = addresses_elsewhere(servers, endpoints)
    ours = [server for server in servers if server.name not in elsewhere]
    # On free ports and in plain text, whatever the settings say for servers that stay.
    programs = programs_of(ours, folder, host="127.0.0.1", port=0, workers=workers, plain=True)
    tls, token = access
    return Session(programs, QuietLog(verbose), elsewhere, tls, verifiers_elsewhere(servers, elsewhere), token)


def _write(out: Path, rollouts: list[Rollout], table: ScoreTable, signal: TrainingSignal, *, evidence: bool) -> None:
    from reward_servers.cli._outputs import write_scores

    if out == _STDOUT:
        write_scores(sys.stdout, rollouts, table, signal, evidence=evidence)
        return
    with whole_file(out) as file:
        write_scores(file, rollouts, table, signal, evidence=evidence)


async def _run(session: Session, rollouts: list[Rollout], recipe: Recipe) -> tuple[ScoreTable, float]:
    from reward_servers.cli._console import progress
    from reward_servers.cli._scoring import score_all

    async with session:
        began = time.monotonic()
        with progress(len(rollouts), "scoring") as advance:
            table = await session.run(score_all(await session.client(recipe), rollouts, advance))
        return table, time.monotonic() - began
