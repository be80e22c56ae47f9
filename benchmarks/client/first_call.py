"""How long a fresh client takes for its first score, beyond what connecting and one bare call take.

The bare client opens a channel and makes one call with the same rollouts. Ours is made, asks what the server hosts and
how it is, plans, sends and answers; what it imports is imported already. Both in turn, one connection each, in one run;
the median is told. The goal is 30 ms at most beyond the bare client.

    python -m benchmarks.client.first_call
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

from benchmarks.client._common import echo_server
from benchmarks.client.cpu import RECIPE, Bare, rollouts_of
from trainer_client import AsyncRewardClient, Endpoints

GOAL_MS = 30.0
COUNT = 64


async def _bare(address: str) -> float:
    rollouts = rollouts_of(COUNT)
    started = time.perf_counter()
    bare = Bare(address, streamed=False)
    await bare.score(rollouts, COUNT)
    seconds = time.perf_counter() - started
    await bare.close()
    return seconds


async def _ours(servers: Endpoints) -> tuple[float, float]:
    rollouts = rollouts_of(COUNT)
    started = time.perf_counter()
    async with AsyncRewardClient(RECIPE, servers) as client:
        await client.score(rollouts)
        first = time.perf_counter() - started
        started = time.perf_counter()
        await client.score(rollouts)
        return first, time.perf_counter() - started


async def measure(addresses: list[str], rounds: int = 21) -> tuple[float, float, float]:
    """Milliseconds of a bare client's first call, of ours, and of our second."""
    found: list[tuple[float, float, float]] = []
    for number in range(rounds + 2):
        bare, (first, second) = await _bare(addresses[0]), await _ours(addresses)
        if number > 1:
            found.append((bare * 1e3, first * 1e3, second * 1e3))
    bare, first, second = (median(column) for column in zip(*found, strict=True))
    return bare, first, second


def main() -> None:
    """Print one line for one replica, and one for three."""
    with echo_server() as one, echo_server() as two, echo_server() as three:
        for addresses in ([one], [one, two, three]):
            bare, first, second = asyncio.run(measure(addresses))
            print(
                f"{len(addresses)} replicas: bare {bare:.1f} ms, first score of a fresh client {first:.1f} ms, "
                f"{first - bare:.1f} ms more (goal {GOAL_MS:g}); its second {second:.1f} ms"
            )


if __name__ == "__main__":
    main()
