"""CPU time of 2,048 single-sample submits against one batch of 2,048, in turns, in one run.

The batch computes rewards and advantages; each submit gives the reward of its rollout. The goals are ratios
of at most 1.3 from one event loop and 1.5 from threads.

    python -m benchmarks.client.submit
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.client._common import echo_server
from benchmarks.client.cpu import RECIPE, rollouts_of
from trainer_client import AsyncRewardClient, RewardClient

GOAL_LOOP, GOAL_THREAD = 1.3, 1.5
COUNT = 2048
REPEATS = 4


async def measure(address: str, rounds: int = 15) -> tuple[float, float, float]:
    """Milliseconds of CPU of a batch, of submits from a loop and from a thread, each in its least disturbed round."""
    rollouts = rollouts_of(COUNT)
    times: dict[str, list[float]] = {"batch": [], "loop": [], "thread": []}
    client, blocking = AsyncRewardClient(RECIPE, address), RewardClient(RECIPE, address)

    def from_thread() -> None:
        futures = [blocking.submit(rollout) for rollout in rollouts]
        assert all(future.result().reward is not None for future in futures)

    for number in range(rounds + 1):
        for name, found in times.items():
            started = time.process_time()
            for _ in range(REPEATS):
                if name == "batch":
                    assert (await client.score(rollouts)).advantages.size == COUNT
                elif name == "loop":
                    scored = await asyncio.gather(*(client.submit(rollout) for rollout in rollouts))
                    assert all(one.reward is not None for one in scored)
                else:
                    await asyncio.to_thread(from_thread)
            if number:
                found.append((time.process_time() - started) / REPEATS * 1e3)
    await client.close()
    blocking.close()
    return tuple(min(found) for found in times.values())  # type: ignore[return-value]


def main() -> None:
    """Print both ratios."""
    with echo_server() as address:
        batch, loop, thread = asyncio.run(measure(address))
    print(f"one batch of {COUNT}: {batch:.1f} ms of CPU")
    print(f"{COUNT} submits from a loop: {loop:.1f} ms, ratio {loop / batch:.2f} (goal {GOAL_LOOP})")
    print(f"{COUNT} submits from a thread: {thread:.1f} ms, ratio {thread / batch:.2f} (goal {GOAL_THREAD})")


if __name__ == "__main__":
    main()
