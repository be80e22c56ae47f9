"""``assay score``: scores, rewards and advantages of the rollouts of a file."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli import _options
from reward_servers.cli._access import Ca, Cert, Json, Key, Options, Token, tls_of
from reward_servers.cli._console import print_json, print_note
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._inputs import read_columns, recipe_of, server_settings
from reward_servers.cli._kept_state import KeptState, Labels
from reward_servers.cli._report import GROUPS, write_run_page
from reward_servers.cli._whole_file import REPORT, STDOUT, output_place, whole_file
from reward_servers.labels import TOLERANCE

if TYPE_CHECKING:
    from reward_servers.cli._intake import Intake
    from trainer_client import Recipe, Summary

_READ = (
    *("the joined file", "the recipe", "the settings", "the file of endpoints", "the arrays"),
    *("the authority's certificate", "the client's certificate", "the client's key"),
)


def score(
    source: _options.Source,
    recipe: _options.RecipeFile = None,
    verifiers: _options.Verifiers = None,
    options: Options = None,
    config: _options.Settings = None,
    out: _options.Out = None,
    columns: _options.Columns = None,
    shape: _options.Shape = None,
    join: _options.Join = None,
    on: _options.On = None,
    media_root: _options.MediaRoot = None,
    arrays: _options.Arrays = None,
    state: _options.State = None,
    step: _options.Step = None,
    step_rollouts: _options.StepRollouts = None,
    run: _options.Run = "",
    endpoints_file: _options.EndpointsFile = None,
    endpoint: _options.Endpoints = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    workers: _options.Workers = None,
    keep: _options.Keep = False,
    resume: _options.Resume = False,
    evidence: _options.Evidence = False,
    feedback: _options.Feedback = False,
    report: _options.Report = None,
    report_groups: _options.PageGroups = GROUPS,
    label: _options.Label = None,
    tolerance: _options.Tolerance = TOLERANCE,
    as_json: Json = False,
    verbose: _options.Verbose = False,
) -> int:
    """Score the rollouts of a file, by a recipe or by one verifier.

    Servers that nothing gives an address for are started, and stopped at the end. A line that cannot be used is
    reported with its number; the others are scored.
    Exit code 1: more scores are missing than the recipe tolerates, or the recipe's method could not be applied.
    """
    from reward_servers.cli._labelling import Labelling
    from reward_servers.cli._outputs import describe_run
    from reward_servers.cli._run import Output, Run
    from reward_servers.cli._scoring import session_of

    where = (endpoints_file, endpoint)
    loaded = _checked(recipe_of(recipe, verifiers or (), options, _started_with(config, where)), label, step)
    inputs = _read(loaded, source, join, recipe, config, endpoints_file, arrays, ca, cert, key)
    place = output_place(out, inputs, report, state, as_json=as_json)
    intake = _intake_of(source, loaded, inputs["the arrays"], columns or (), (shape, join, on, media_root))
    session = session_of(loaded, recipe, where, (tls_of(ca, cert, key), token), workers, verbose=verbose)
    writing = Output(place, keep, evidence, feedback, report is not None, resume)
    with Run(intake, loaded, writing, KeptState(state), Labels(run, step or 0), step_rollouts) as work:
        done = work.score(session)
        outcome = describe_run(done.summary, done.table, done.signal, intake, Labelling(label, tolerance))
        _tell(source, done.summary, outcome, place, as_json=as_json)
        if report is not None:
            write_run_page(report, source, loaded, work.rows, done.summary, outcome, report_groups, evidence)
    return EXIT_NO if outcome["incomplete"] or outcome["failed"] else 0


def _read(loaded: Recipe, source: Path, *others: Path | None) -> dict[str, Path | None]:
    """All files that are read, by what they are: those that are named, arrays beside the input, servers' settings."""
    named = {"the input": source, **dict(zip(_READ, others, strict=True))}
    named["the arrays"] = _arrays_of(source, loaded, named["the arrays"])
    recipe = named["the recipe"]
    return {**named, **server_settings(loaded, recipe.parent if recipe is not None else Path())}


def _started_with(config: Path | None, where: Sequence[object]) -> Path | None:
    if config is not None and any(where):
        raise UserError("--config is for a server that this command starts, and it starts none; remove --config")
    return config


def _checked(recipe: Recipe, label: str | None, step: int | None) -> Recipe:
    """A recipe, looked at with what the command line says of labels and steps."""
    from reward_servers.cli._labelling import check_label

    check_label(label, recipe)
    if step is None and recipe.follows_steps:
        print_note("the recipe follows the training step, and this is step 0; --step names another")
    return recipe


def _tell(source: Path, summary: Summary, outcome: Mapping[str, Any], place: Path | None, *, as_json: bool) -> None:
    """Write figures of a run into a folder, and print them; results on standard output have it for themselves."""
    from reward_servers.cli._outputs import print_run

    for problem in outcome["label_problems"]:
        print_note(f"{source}: {problem}")
    if place is not None and place.is_dir():
        with whole_file(place / REPORT) as file:
            file.write(json.dumps(outcome, ensure_ascii=False, indent=2) + "\n")
    if as_json:
        print_json(outcome)
        return
    with contextlib.redirect_stdout(sys.stderr if place == STDOUT else sys.stdout):
        print_run(summary, outcome, None if place == STDOUT else place)


def _intake_of(
    source: Path, recipe: Recipe, arrays: Path | None, columns: Sequence[str], how: tuple[Any, ...]
) -> Intake:
    """What is scored, checked as far as it can be before a server is started."""
    from reward_servers.cli._intake import Intake
    from trainer_client.recipe.inputs import refuse_calls
    from trainer_client.rollout.files import STDIN, Form

    _, join, on, _ = how
    if on is not None and join is None:
        raise UserError(
            f"--on {on}: names the id that joins a second file, and there is no second file; give --join FILE"
        )
    if str(join) == str(source) == STDIN:
        raise UserError("--join -: standard input is the input already; save one of the two as a file")
    form = Form({**recipe.file_columns, **read_columns(columns)}, *how)
    if recipe.plan is not None:
        refuse_calls(recipe.plan)
    return Intake(source, form, recipe, arrays)


def _arrays_of(source: Path, recipe: Recipe, arrays: Path | None) -> Path | None:
    """The arrays that are read: those that are named, or that lie beside the input; None for none."""
    if recipe.plan is None:
        if arrays is not None:
            raise UserError("--arrays is for the method of a recipe, and there is no method; remove --arrays")
        return None
    beside = source.with_suffix(".npz") if source.name else source
    exists = beside != source and beside.is_file()
    return arrays or (beside if exists else None)
