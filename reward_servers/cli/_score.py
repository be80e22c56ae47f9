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
from typing import TYPE_CHECKING, Any

from reward_servers.cli import _options
from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._inputs import read_columns, read_source, recipe_of
from reward_servers.cli._kept_state import KeptState, Labels
from reward_servers.cli._report import GROUPS, rows_of_table, write_run_page
from reward_servers.cli._whole_file import refuse_overwriting, whole_file
from reward_servers.labels import TOLERANCE

if TYPE_CHECKING:
    from reward_servers.cli._outputs import TrainingSignal
    from reward_servers.cli._scoring import Session
    from trainer_client import Recipe, Rollout, RolloutFile, ScoreTable, Summary

_STDOUT = Path("-")
_ROLLOUTS = "rollouts.jsonl"


def score(
    source: _options.Source,
    recipe: _options.RecipeFile = None,
    verifiers: _options.Verifiers = None,
    options: _options.VerifierOptions = None,
    out: _options.Out = None,
    columns: _options.Columns = None,
    shape: _options.Shape = None,
    join: _options.Join = None,
    on: _options.On = None,
    media_root: _options.MediaRoot = None,
    arrays: _options.Arrays = None,
    state: _options.State = None,
    step: _options.Step = 0,
    run: _options.Run = "",
    endpoints_file: _options.EndpointsFile = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    workers: _options.Workers = None,
    evidence: _options.Evidence = False,
    report: _options.Report = None,
    report_groups: _options.PageGroups = GROUPS,
    label: _options.Label = None,
    tolerance: _options.Tolerance = TOLERANCE,
    as_json: _options.Json = False,
    verbose: _options.Verbose = False,
) -> int:
    """Score the rollouts of a file, by a recipe or by one verifier.

    Servers that neither the recipe nor --endpoints-file gives an address for are started, and stopped at the end. A
    line that cannot be used is reported with its number; the others are scored.

    Exit code 0: scored; 1: scored, but more scores are missing than the recipe tolerates, or the recipe's method could
    not be applied; 2: the input or the recipe is wrong.
    """
    from reward_servers.cli._labelling import Labelling, check_label
    from reward_servers.cli._outputs import describe_run, training_signal_of
    from reward_servers.cli._scoring import session_of
    from reward_servers.reporting import ReportOptions

    loaded = recipe_of(recipe, verifiers or (), options)
    folder = recipe.parent if recipe is not None else Path()
    check_label(label, loaded)
    read = {"the input": source, "the joined file": join, "the recipe": recipe, "the file of endpoints": endpoints_file}
    place = _place(out, read, as_json=as_json)
    if report is not None:
        refuse_overwriting("--report", report, {**read, "the results": place})
    how = {"format": shape, "join": join, "join_on": on, "media_root": media_root}
    found = read_source(source, {**loaded.file_columns, **read_columns(columns or ())}, **how)
    _check_inputs(loaded, found, source, arrays)
    access, kept = (tls_of(ca, cert, key), token), KeptState(state)
    session = session_of(loaded, folder, endpoints_file, access, workers, verbose=verbose)
    table, seconds = asyncio.run(_run(session, found.rollouts, loaded, kept, Labels(run, step)))
    signal, summary = training_signal_of(table), replace(table.summary(), seconds=seconds)
    kept.save()
    outcome = describe_run(summary, table, signal, found, Labelling(label, tolerance))
    if place is not None:
        _write(place, found.rollouts, table, signal, outcome, evidence=evidence)
    _tell(source, summary, outcome, place, as_json=as_json)
    if report is not None:
        about = ReportOptions(f"{source.name}: {loaded.name}", report_groups, evidence)
        write_run_page(report, about, lambda: rows_of_table(found.rollouts, table, signal), summary, outcome)
    return EXIT_NO if outcome["incomplete"] or outcome["failed"] else 0


def _tell(source: Path, summary: Summary, outcome: Mapping[str, Any], place: Path | None, *, as_json: bool) -> None:
    """Print the run in figures; the standard output belongs to the results where they go there."""
    from reward_servers.cli._outputs import print_run

    for problem in outcome["label_problems"]:
        print(f"{source}: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps(outcome, ensure_ascii=False))
        return
    with contextlib.redirect_stdout(sys.stderr if place == _STDOUT else sys.stdout):
        print_run(summary, outcome, None if place == _STDOUT else place)


def _place(out: str | None, inputs: Mapping[str, Path | None], *, as_json: bool) -> Path | None:
    """Where the results go; a folder is made. Refuses, before work is done, what could not be written."""
    if out == str(_STDOUT) and as_json:
        raise UserError("--out - and --json both write to standard output; choose one, or name a file")
    if out is None or out == str(_STDOUT):
        return None if out is None else _STDOUT
    path = Path(out)
    if out.endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
        refuse_overwriting("--out", path / _ROLLOUTS, inputs)
    else:
        refuse_overwriting("--out", path, inputs)
    return path


def _check_inputs(recipe: Recipe, found: RolloutFile, source: Path, arrays: Path | None) -> None:
    """Have everything that the recipe's method reads, before a server is started or a judge is paid."""
    from trainer_client import RolloutError
    from trainer_client.recipe.inputs import refuse_calls
    from trainer_client.result.inputs import values_of
    from trainer_client.rollout.arrays import attach_arrays

    if recipe.plan is None:
        return
    refuse_calls(recipe.plan)
    beside = arrays or source.with_suffix(".npz")
    if arrays is not None or (beside != source and beside.is_file()):
        attach_arrays(found.rollouts, beside)
    try:
        values_of(recipe.plan, found.rollouts)
    except RolloutError as error:
        raise UserError(f"{source}: {error}") from None


def _write(
    place: Path,
    rollouts: list[Rollout],
    table: ScoreTable,
    signal: TrainingSignal,
    outcome: Mapping[str, Any],
    *,
    evidence: bool,
) -> None:
    from reward_servers.cli._outputs import write_scores
    from reward_servers.cli._signal_files import write_folder_parts

    if place == _STDOUT:
        write_scores(sys.stdout, rollouts, table, signal, evidence=evidence)
        return
    with whole_file(place / _ROLLOUTS if place.is_dir() else place) as file:
        write_scores(file, rollouts, table, signal, evidence=evidence)
    if place.is_dir():
        write_folder_parts(place, rollouts, table, signal.made)
        with whole_file(place / "report.json") as file:
            file.write(json.dumps(outcome, ensure_ascii=False, indent=2) + "\n")


async def _run(
    session: Session, rollouts: list[Rollout], recipe: Recipe, state: KeptState, labels: Labels
) -> tuple[ScoreTable, float]:
    from reward_servers.cli._console import progress
    from reward_servers.cli._scoring import score_all

    async with session:
        began = time.monotonic()
        client = await session.client(recipe)
        state.load(client)
        with progress(len(rollouts), "scoring") as advance:
            table = await session.run(score_all(client, rollouts, advance, labels))
        return table, time.monotonic() - began
