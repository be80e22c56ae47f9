"""The step tail, as a ratio to the ideal: the time that the last straggler takes by itself.

256 groups of 8 rollouts arrive spread over some seconds; each response is a conversation of 50 KB; three verifiers
judge it, one of which waits like a judge and is slow for 1 % of the rollouts. One of three replicas is killed midway.
Scores must equal those of an undisturbed run, and none may be missing.

Usage: ``python -m benchmarks.step [--groups 256] [--seconds 20] [--rounds 3]``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

import numpy as np

from benchmarks.server._common import latex
from benchmarks.step.verifiers import STRAGGLER, STRAGGLER_SECONDS
from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout, ScoreTable, Server

_SIZE = 8
_BYTES = 50_000
_VERIFIERS = ("math", "format", "benchmarks.step.verifiers:judge_like")
_RECIPE = Recipe(
    (
        Reward("answer", "math"),
        Reward("box", "format", options={"boxed": True}, weight=0.2),
        Reward("judge", "bench/judge-like", weight=0.5),
    ),
    name="step",
    servers=(Server("all", ("math", "format", "bench/judge-like"), replicas=3),),
)


def _response(group: int, place: int, straggles: bool, draw: random.Random) -> list[dict[str, Any]]:
    """A conversation with tool calls that ends with an answer, right for some and wrong for others."""
    turns: list[dict[str, Any]] = []
    for turn in range(4):
        turns.append({"role": "assistant", "content": latex(_BYTES // 8, group * 1000 + place * 10 + turn)})
        turns.append({"role": "tool", "tool_call_id": f"c{turn}", "content": latex(_BYTES // 8, turn)})
    mark = STRAGGLER if straggles else ""
    answer = group if draw.random() < 0.5 else group + 1
    turns.append({"role": "assistant", "content": f"{mark} The answer is \\boxed{{{answer}}}."})
    return turns


def _groups(count: int) -> list[list[Rollout]]:
    draw = random.Random(0)
    made = []
    for group in range(count):
        last = group == count - 1
        rollouts = [
            Rollout(
                rollout_id=f"{group}-{place}",
                group_id=str(group),
                prompt=f"What is {group}?",
                response=_response(group, place, draw.random() < 0.01 or (last and place == 0), draw),
                reference={"answer": str(group)},
            )
            for place in range(_SIZE)
        ]
        made.append(rollouts)
    return made


async def _step(groups: list[list[Rollout]], seconds: float, kill: bool) -> tuple[float, ScoreTable]:
    """One step; the time from the last arrival to the advantages, and the table."""
    programs = [ServerProcess("all", _VERIFIERS, workers=1, replica=number) for number in (1, 2, 3)]
    last = 0.0
    async with Supervisor(programs) as supervisor, AsyncRewardClient(_RECIPE, supervisor.endpoints) as client:
        # A first call loads what verifiers load on first use, as an earlier step of the run would have.
        await client.score([one for group in groups[:4] for one in group])

        async def arrivals() -> AsyncIterator[list[Rollout]]:
            nonlocal last
            begun = time.perf_counter()
            for number, group in enumerate(groups):
                due = begun + seconds * number / len(groups)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if kill and number == len(groups) // 2:
                    os.kill(next(iter(supervisor.pids.values())), signal.SIGKILL)
                last = time.perf_counter()
                yield group

        tables = [table async for table in client.stream(arrivals())]
        table = ScoreTable.concat(tables)
        _ = table.advantages
        tail = time.perf_counter() - last
    return tail, table


def _by_rollout(table: ScoreTable) -> dict[str, list[float]]:
    return {name: table.scores[row].tolist() for row, name in enumerate(table.rollout_ids)}


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    groups = _groups(arguments.groups)
    calm, disturbed = [], []
    for _ in range(arguments.rounds):
        tail, expected = asyncio.run(_step(groups, arguments.seconds, kill=False))
        calm.append(tail)
        tail, found = asyncio.run(_step(groups, arguments.seconds, kill=True))
        disturbed.append(tail)
        lost = int(np.size(found.valid) - np.count_nonzero(found.valid))
        equal = _by_rollout(found) == _by_rollout(expected)
        print(f"{len(found.rollout_ids)} rollouts, {lost} scores lost, values equal: {equal}", flush=True)
    print(f"{'run':<28} {'tail s':>7} {'ratio to the straggler':>23}")
    for name, tails in (("undisturbed", calm), ("a replica killed midway", disturbed)):
        print(f"{name:<28} {median(tails):>7.2f} {median(tails) / STRAGGLER_SECONDS:>23.2f}")


if __name__ == "__main__":
    main()
