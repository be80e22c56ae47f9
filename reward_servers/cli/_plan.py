"""``assay plan``: how many replicas a training run needs, from what its rollouts cost here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli import _options
from reward_servers.cli._access import Json
from reward_servers.cli._cost import Cost, cost_of
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._numbers import number, seconds
from reward_servers.process.processors import usable_processors

if TYPE_CHECKING:
    from trainer_client import Recipe, Rollout

_FEW = 200
_MOST_ROLLOUTS = 10**12


def plan(
    source: _options.Source,
    rollouts_per_step: Annotated[
        int, typer.Option(help="Rollouts that a step of training scores.", min=1, max=_MOST_ROLLOUTS)
    ],
    step_s: Annotated[float, seconds("Seconds in which they must be scored.", least=0.001)],
    recipe: _options.RecipeFile = None,
    verifiers: _options.Verifiers = None,
    columns: _options.Columns = None,
    headroom: Annotated[float, number("Added to what was measured, as a share of it.", least=0.0, most=1000.0)] = 0.3,
    measure_s: Annotated[float, seconds("Seconds to measure each server, at least.", least=0.1)] = 5.0,
    workers: _options.Workers = None,
    as_json: Json = False,
    verbose: _options.Verbose = False,
) -> int:
    """Measure what the rollouts of a sample cost here, and say how many replicas a run needs.

    The recipe's servers are started here with empty caches, and each scores the sample again and again while the others
    rest. Take some hundred real responses: what wrong and endless ones cost decides. Servers that run elsewhere are not
    measured: they may be in use. The exit code is 1 when no number of replicas is enough.
    """
    from reward_servers.cli._console import print_json, print_note
    from reward_servers.cli._inputs import read_columns, read_source, recipe_of

    processors = usable_processors()
    if workers is not None and workers > processors:
        raise UserError(
            f"--workers {workers}: this command may use {processors} of the host's processors, so that a replica of so "
            f"many workers cannot be measured here; give {processors} at most, and plan with replicas of that size"
        )
    loaded = recipe_of(recipe, verifiers or (), None)
    found = read_source(source, {**loaded.file_columns, **read_columns(columns or ())})
    rollouts = found.rollouts
    if found.problems:
        print_note(f"{source}: the plan is made of {len(rollouts)} rollouts; rows left out: {len(found.problems)}")
    count = workers or processors
    costs = asyncio.run(_measure(loaded, recipe, rollouts, measure_s, count, verbose=verbose))
    rows = [cost.row(rollouts_per_step, step_s, headroom) for cost in costs]
    client = rollouts_per_step * sum(cost.share * cost.client for cost in costs)
    if as_json:
        measured = {"sample": len(rollouts), "workers": count, "headroom": headroom, "client_seconds": client}
        print_json({**measured, "servers": rows})
    else:
        _print(rows, len(rollouts), count, (rollouts_per_step, step_s, headroom))
        _print_client(client, step_s)
    return EXIT_NO if any(row["replicas"] is None for row in rows) else 0


async def _measure(
    recipe: Recipe, path: Path | None, rollouts: Sequence[Rollout], seconds: float, workers: int, *, verbose: bool
) -> list[Cost]:
    from reward_servers.cli._console import print_note, progress
    from reward_servers.cli._fleet import QuietLog
    from reward_servers.cli._scoring import Session, check_offers, telling_waits
    from reward_servers.fleet import addresses_elsewhere, programs_of, verifiers_elsewhere
    from reward_servers.recipes import Offers

    folder = path.parent if path is not None else Path()
    elsewhere = addresses_elsewhere(recipe.all_servers, {})
    local = [replace(server, replicas=1) for server in recipe.all_servers if server.name not in elsewhere]
    if not local:
        raise UserError("every server of the recipe runs elsewhere; plan measures only servers that it starts itself")
    check_offers(recipe, path, Offers(elsewhere, folder=folder, ask=False))
    programs = [
        replace(server, cache_bytes=0)
        for server in programs_of(local, folder, host="127.0.0.1", port=0, workers=workers, plain=True)
    ]
    costs: list[Cost] = []
    log, where = QuietLog(verbose), verifiers_elsewhere(recipe.all_servers, elsewhere)
    async with Session(programs, log, elsewhere, verifiers=where) as session:
        for server in local:
            rewards = tuple(reward for reward in recipe.rewards if reward.verifier_name in server.verifiers)
            if not rewards:
                continue
            part = replace(_asking(recipe), rewards=rewards)
            client = await session.client(part)
            assert session.supervisor is not None
            # Of replicas there is one, whose label is the server's name.
            pid = session.supervisor.pids[server.name]
            asked = [rollout for rollout in rollouts if any(reward.applies_to(rollout.task) for reward in rewards)]
            print_note(f"server {server.name!r} is measured with {len(asked)} rollouts, again and again")
            with progress(None, f"measuring {server.name}") as advance:
                async with telling_waits(client, advance):
                    cost = await session.run(cost_of(client, server, asked, seconds, (pid, workers)))
            cost = cost._replace(share=cost.share * len(asked) / len(rollouts))
            costs.append(cost)
    return costs


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


def _print(rows: Sequence[Mapping[str, Any]], sample: int, workers: int, target: tuple[int, float, float]) -> None:
    from reward_servers.cli._console import print_note, print_table

    rollouts, seconds, headroom = target
    print(f"{rollouts} rollouts a step, scored in {seconds:g} s, with {headroom:.0%} to spare")
    print_table(
        ("server", "verifiers", "items a step", "items/s of one", "replicas", "then a step takes"),
        [
            [
                row["server"],
                " ".join(row["verifiers"]),
                str(row["items_per_step"]),
                f"{row['items_per_second']:.4g}",
                "none is enough" if row["replicas"] is None else str(row["replicas"]),
                "" if row["replicas"] is None else f"{row['seconds_with_these']:.3g} s",
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


def _print_client(seconds: float, seconds_wanted: float) -> None:
    from reward_servers.cli._console import print_note

    if seconds > seconds_wanted / 4:
        print_note(f"the client itself computes for {seconds:.3g} s in a step; several processes share that")
