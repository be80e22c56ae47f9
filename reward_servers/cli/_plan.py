"""``assay plan``: how many replicas a training run needs, from what its rollouts cost here."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from reward_servers.cli import _options
from reward_servers.cli._access import Json
from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from trainer_client import AsyncRewardClient, Recipe, Rollout, ScoreTable

_LARGEST_LOSS = 0.2
"""Share of items without a score above which their cost is not what a run would pay."""
_FEW = 200


class Cost(NamedTuple):
    """What the rollouts of a sample cost at one server.

    Attributes:
        server: Its name in the recipe.
        verifiers: What it hosts.
        share: Items of this server for each rollout.
        rate: Items a second of one replica.
    """

    server: str
    verifiers: Sequence[str]
    share: float
    rate: float

    def row(self, rollouts: int, seconds: float, headroom: float) -> dict[str, Any]:
        """What a step needs of it.

        Args:
            rollouts: Rollouts of a step.
            seconds: Seconds that the step may take.
            headroom: Added to what was measured, as a share of it.
        """
        items = rollouts * self.share
        alone = items / self.rate
        replicas = max(1, math.ceil(alone * (1 + headroom) / seconds - 1e-9))
        return {
            "server": self.server,
            "verifiers": list(self.verifiers),
            "items_per_step": round(items),
            "items_per_second": self.rate,
            "seconds_with_one": alone,
            "replicas": replicas,
            "seconds_with_these": alone / replicas,
        }


def plan(
    source: _options.Source,
    rollouts_per_step: Annotated[int, typer.Option(help="Rollouts that a step of training scores.", min=1)],
    step_seconds: Annotated[float, typer.Option(help="Seconds in which they must be scored.", min=0.001)],
    recipe: _options.RecipeFile = None,
    verifiers: _options.Verifiers = None,
    columns: _options.Columns = None,
    headroom: Annotated[float, typer.Option(help="Added to what was measured, as a share of it.", min=0.0)] = 0.3,
    seconds: Annotated[float, typer.Option(help="Seconds to measure each server, at least.", min=0.1)] = 5.0,
    workers: _options.Workers = None,
    as_json: Json = False,
    verbose: _options.Verbose = False,
) -> int:
    """Measure what the rollouts of a sample cost here, and say how many replicas a run needs.

    The recipe's servers are started here with empty caches, and each scores the sample again and again while the others
    rest. Take some hundred real responses: what wrong and endless ones cost decides. Servers that run elsewhere are not
    measured: they may be in use.
    """
    from reward_servers.cli._inputs import read_columns, read_source, recipe_of

    loaded = recipe_of(recipe, verifiers or (), None)
    rollouts = read_source(source, {**loaded.file_columns, **read_columns(columns or ())}).rollouts
    count = workers or os.cpu_count() or 1
    folder = recipe.parent if recipe is not None else Path()
    costs = asyncio.run(_measure(loaded, folder, rollouts, seconds, count, verbose=verbose))
    rows = [one.row(rollouts_per_step, step_seconds, headroom) for one in costs]
    if as_json:
        print(json.dumps({"sample": len(rollouts), "workers": count, "headroom": headroom, "servers": rows}))
    else:
        _print(rows, len(rollouts), count, (rollouts_per_step, step_seconds, headroom))
    return 0


async def _measure(
    recipe: Recipe, folder: Path, rollouts: Sequence[Rollout], seconds: float, workers: int, *, verbose: bool
) -> list[Cost]:
    from reward_servers.cli._fleet import QuietLog
    from reward_servers.cli._scoring import Session
    from reward_servers.fleet import addresses_elsewhere, programs_of, verifiers_elsewhere

    elsewhere = addresses_elsewhere(recipe.all_servers, {})
    ours = [replace(one, replicas=1) for one in recipe.all_servers if one.name not in elsewhere]
    if not ours:
        raise UserError("every server of the recipe runs elsewhere; plan measures those that it starts itself")
    programs = [
        replace(one, cache_bytes=0)
        for one in programs_of(ours, folder, host="127.0.0.1", port=0, workers=workers, plain=True)
    ]
    found: list[Cost] = []
    log, where = QuietLog(verbose), verifiers_elsewhere(recipe.all_servers, elsewhere)
    async with Session(programs, log, elsewhere, verifiers=where) as session:
        for server in ours:
            rewards = tuple(one for one in recipe.rewards if one.verifier_name in server.verifiers)
            if not rewards:
                continue
            part = replace(_asking(recipe), rewards=rewards)
            client = await session.client(part)
            share, rate = await session.run(_rate_of(client, server.name, rollouts, seconds))
            found.append(Cost(server.name, server.verifiers, share, rate))
    return found


def _asking(recipe: Recipe) -> Recipe:
    """The recipe without what is made of scores."""
    from trainer_client import Recipe as _Recipe

    return _Recipe(
        recipe.rewards,
        recipe.name,
        recipe.servers,
        advantage=None,
        max_missing=1.0,
        reasoning_marks=recipe.reasoning_marks,
    )


async def _rate_of(
    client: AsyncRewardClient, server: str, rollouts: Sequence[Rollout], seconds: float
) -> tuple[float, float]:
    """Items for each rollout, and items a second, of whole passes over the sample; the first only warms up."""
    items, began = 0, 0.0
    for number in range(1_000_000):
        table = await _pass(client, rollouts)
        _refuse_loss(server, table)
        asked = int(table.asked.sum())
        if not asked:
            raise UserError(f"server {server!r}: no rollout of the sample has a task that it is asked about")
        now = time.perf_counter()
        if number:
            items += asked
            if now - began >= seconds:
                return asked / len(rollouts), items / (now - began)
        else:
            began = now
    raise AssertionError("the clock stands still")


async def _pass(client: AsyncRewardClient, rollouts: Sequence[Rollout]) -> ScoreTable:
    from trainer_client import IncompleteBatchError

    try:
        return await client.score(rollouts)
    except IncompleteBatchError as error:
        return error.table


def _refuse_loss(server: str, table: ScoreTable) -> None:
    asked, scored = int(table.asked.sum()), int(table.valid.sum())
    if scored < (1 - _LARGEST_LOSS) * asked:
        row, column = next(
            (row, at)
            for row in range(len(table))
            for at in range(len(table.columns))
            if table.asked[row, at] and not table.valid[row, at]
        )
        cell = table.cell(row, table.columns[column])
        raise UserError(
            f"server {server!r}: {asked - scored} of {asked} items of the sample have no score, so that what they cost "
            f"says nothing of a run (first: {table.rollout_ids[row]}: {cell.code}: {cell.message})"
        )


def _print(rows: Sequence[Mapping[str, Any]], sample: int, workers: int, wanted: tuple[int, float, float]) -> None:
    from reward_servers.cli._console import print_note, print_table

    rollouts, seconds, headroom = wanted
    print(f"{rollouts} rollouts a step, scored in {seconds:g} s, with {headroom:.0%} to spare")
    print_table(
        ("server", "verifiers", "items a step", "items/s of one", "replicas", "then a step takes"),
        [
            [
                row["server"],
                " ".join(row["verifiers"]),
                str(row["items_per_step"]),
                f"{row['items_per_second']:.4g}",
                str(row["replicas"]),
                f"{row['seconds_with_these']:.3g} s",
            ]
            for row in rows
        ],
    )
    print_note(
        f"measured here with {workers} workers a replica, which want as many cores, and the client beside them; what "
        "waits for another service (a judge) has that service's limits besides"
    )
    if sample < _FEW:
        print_note(f"the sample has {sample} rollouts; some hundred tell more, and keep the workers busy to the end")
