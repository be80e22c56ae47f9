"""The step tail: from the last rollout to advantages ready, while a replica dies.

256 groups of 8 rollouts arrive one by one over some seconds; three verifiers on three replicas judge 50 KB responses;
one rollout in a hundred is a straggler that takes a second; one replica is killed midway. The ideal tail is what
the rollouts themselves need: the latest end of a judgement, had each begun when its rollout arrived. Scores must
equal those of a run without a kill.

    python -m benchmarks.client.step_tail
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import numpy as np

from trainer_client import AsyncRewardClient, Recipe, Rollout, ScoreTable

GROUPS, SIZE = 256, 8
SPREAD = 6.0
STRAGGLER = 1.0
RECIPE = Recipe.loads(
    """
    [servers.all]
    verifiers = ["one", "two", "three"]
    [rewards.one]
    verifier = "one"
    [rewards.two]
    verifier = "two"
    [rewards.three]
    verifier = "three"
    """
)


def make_rollouts() -> tuple[list[Rollout], list[float]]:
    """Rollouts whose responses say what the scripted server does with them, and how long each takes."""
    draw = random.Random(7)
    rollouts, delays = [], []
    for number in range(GROUPS * SIZE):
        delay = STRAGGLER if draw.random() < 0.01 else draw.uniform(0.005, 0.05)
        script = json.dumps({"score": draw.random(), "delay": delay})
        rollouts.append(
            Rollout(f"r{number}", f"p{number // SIZE}", script + " " * (50_000 - len(script)), f"g{number // SIZE}")
        )
        delays.append(delay)
    order = list(range(len(rollouts)))
    draw.shuffle(order)
    # The last to arrive is a straggler, as in life.
    order.append(order.pop(order.index(next(i for i, delay in enumerate(delays) if delay == STRAGGLER))))
    return [rollouts[i] for i in order], [delays[i] for i in order]


def start_servers() -> tuple[list[subprocess.Popen[str]], list[str]]:
    """Three replicas in processes of their own."""
    servers, addresses = [], []
    for _ in range(3):
        command = [sys.executable, "-m", "tests.client.scripted_server", "0", "one,two,three", "d1"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        servers.append(server)
        addresses.append(f"127.0.0.1:{server.stdout.readline().strip()}")
    return servers, addresses


async def step(kill: bool) -> tuple[ScoreTable, float, float]:
    """One training step: its table, its tail and the ideal tail, in seconds."""
    rollouts, delays = make_rollouts()
    servers, addresses = start_servers()
    arrived: list[float] = []

    async def arrivals() -> AsyncIterator[Rollout]:
        started = time.perf_counter()
        for number, rollout in enumerate(rollouts):
            await asyncio.sleep(max(0.0, started + SPREAD * number / len(rollouts) - time.perf_counter()))
            if kill and number == len(rollouts) // 2:
                servers[1].kill()
            arrived.append(time.perf_counter())
            yield rollout

    async with AsyncRewardClient(addresses) as client:
        await client.describe(RECIPE)
        tables = [table async for table in client.stream(arrivals(), RECIPE, group_size=SIZE)]
        table = ScoreTable.concat(sorted(tables, key=lambda one: int(one.group_ids[0][1:])))
        assert table.advantages.shape == (GROUPS * SIZE,)
        ended = time.perf_counter()
    for server in servers:
        server.kill()
        server.wait()
    ideal = max(at + delay for at, delay in zip(arrived, delays, strict=True)) - arrived[-1]
    return table, ended - arrived[-1], ideal


def _by_id(table: ScoreTable) -> dict[str, list[float]]:
    return dict(zip(table.rollout_ids, table.scores.tolist(), strict=True))


def main() -> None:
    """Print the tail with and without a kill, and whether the values agree."""
    calm, tail, ideal = asyncio.run(step(kill=False))
    print(f"undisturbed: tail {tail:.3f} s, ideal {ideal:.3f} s, ratio {tail / ideal:.2f}")
    table, tail, ideal = asyncio.run(step(kill=True))
    print(f"one of three replicas killed: tail {tail:.3f} s, ideal {ideal:.3f} s, ratio {tail / ideal:.2f}")
    missing = int(np.count_nonzero(~table.valid))
    print(f"missing scores: {missing}; equal to the undisturbed run: {_by_id(calm) == _by_id(table)}")


if __name__ == "__main__":
    main()
