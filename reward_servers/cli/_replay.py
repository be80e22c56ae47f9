"""``assay replay``: ask again what a record says was asked, and list what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from reward_servers.cli import _options
from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._inputs import load_recipe
from reward_servers.cli._scored_rows import ScoredRows

if TYPE_CHECKING:
    from reward_servers.cli._scoring import Session
    from trainer_client import Recipe, Rollout


class _Step(NamedTuple):
    """Rollouts that were scored under the same labels."""

    run: str
    step: int
    seed: int
    rows: list[Mapping[str, Any]]
    rollouts: list[Rollout]


def replay(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a [record], or one of its files.")],
    recipe: Annotated[Path, typer.Option("--recipe", "-r", help="The recipe of the run (TOML).")],
    only: Annotated[int | None, typer.Option("--step", help="Replay this step alone.")] = None,
    endpoints_file: _options.EndpointsFile = None,
    endpoint: _options.Endpoints = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    workers: _options.Workers = None,
    verbose: _options.Verbose = False,
) -> int:
    """Ask the verifiers again about the rollouts of a record, with the same steps and seeds, and list what differs.

    Exit code 0: recipe, versions and verdicts are the same; 1: something differs, or rows cannot be read.
    """
    from reward_servers.cli._compare import compare_entries, print_difference
    from reward_servers.cli._scoring import session_of
    from reward_servers.reporting import entry_of

    loaded = load_recipe(recipe)
    rows = ScoredRows(source)
    steps = _steps(rows, only)
    about = rows.about()
    where, access = (endpoints_file, endpoint), (tls_of(ca, cert, key), token)
    session = session_of(loaded, recipe, where, access, workers, verbose=verbose)
    again, versions = asyncio.run(_ask(session, loaded, steps))
    old = (entry_of(_with_step_name(row, step)) for step in steps for row in step.rows)
    difference = compare_entries(old, (entry_of(row) for row in again))
    difference.reasons = _reasons(about, loaded, versions)
    rows.tell_problems()
    print_difference(difference, str(source), "the replay")
    return EXIT_NO if difference.changed or any(difference.only) or difference.reasons or rows.problems else 0


def _steps(rows: ScoredRows, only: int | None) -> list[_Step]:
    """What was asked, by its labels.

    Raises:
        UserError: The rows do not hold whole rollouts, or there is no such step.
    """
    from reward_servers.reporting import entry_of
    from trainer_client.result.rows import rollout_of

    steps: dict[tuple[str, int, int], _Step] = {}
    for number, row in enumerate(rows.plain(), 1):
        try:
            labels = (str(row["run"]), _label(row, "step"), _label(row, "seed"))
            rollout = rollout_of(row["rollout"])
            entry_of(row)
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{rows.source}: row {number} is not from a record ({reason}); give the folder of a [record]"
            ) from None
        if only is None or labels[1] == only:
            step = steps.setdefault(labels, _Step(*labels, [], []))
            step.rows.append(row)
            step.rollouts.append(rollout)
    if not steps:
        reason = "there are no rows" if only is None else f"there is no step {only}"
        raise UserError(rows.problems[0] if rows.problems else f"{rows.source}: {reason}")
    return [steps[labels] for labels in sorted(steps)]


def _label(row: Mapping[str, Any], name: str) -> int:
    """A whole number that a call can carry.

    Raises:
        KeyError: The row has none.
        TypeError, ValueError: It is another thing.
    """
    try:
        value = int(row[name])
    except OverflowError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{name}: {row[name]!r:.60} is no whole number from 0 to 2**64 - 1")
    return value


def _with_step_name(row: Mapping[str, Any], step: _Step) -> dict[str, Any]:
    return {**row, "rollout_id": f"{step.run or 'step'} {step.step}: {row.get('rollout_id')}"}


async def _ask(
    session: Session, recipe: Recipe, steps: Iterable[_Step]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Rows of the replay, and the versions that answered by reward."""
    from trainer_client import IncompleteBatchError
    from trainer_client.result.rows import verdict_row

    rows: list[dict[str, Any]] = []
    versions: dict[str, list[str]] = {}
    async with session:
        client = await session.client(recipe, logs_waits=True)
        for step in steps:
            try:
                table = await session.run(client.score(step.rollouts, run=step.run, step=step.step, seed=step.seed))
            except IncompleteBatchError as error:
                table = error.table
            rewards = [None] * len(table) if table.summary().incomplete else table.rewards.tolist()
            for row, rollout in enumerate(step.rollouts):
                line = verdict_row(rollout, table, row, evidence=True)
                reward = rewards[row] if rewards[row] == rewards[row] else None
                rows.append(_with_step_name({**line, "reward": reward, "rollout": step.rows[row]["rollout"]}, step))
            for name, identities in zip(table.columns, table.versions, strict=True):
                versions[name] = [f"{identity.name}@{identity.version} {identity.digest}" for identity in identities]
    return rows, versions


def _reasons(about: Mapping[str, Any], recipe: Recipe, versions: Mapping[str, list[str]]) -> list[str]:
    """What is not as it was recorded."""
    if not about:
        return ["the file says neither versions nor recipe; give the folder of the record"]
    reasons = []
    if about.get("recipe_digest") != recipe.digest:
        reasons.append(f"the recipe is not the one that was recorded ({about.get('recipe')})")
    for reward in about.get("rewards", ()):
        now = versions.get(reward["name"])
        if now is not None and now != reward["versions"]:
            sides = (", ".join(side) or "none answered" for side in (reward["versions"], now))
            reasons.append(f"{reward['name']}: {' -> '.join(sides)}")
    return reasons
