"""Memory of the client over a million items: it must not grow by more than 5 % once warm.

Batches of fresh rollouts are scored and their tables dropped, as a training loop does, in turns with single-sample
submits. The figure is the resident memory of this process.

    python -m benchmarks.client.memory
"""

from __future__ import annotations

import gc
import os
import sys

from benchmarks.client._common import echo_server
from benchmarks.client.cpu import RECIPE, rollouts_of
from trainer_client import RewardClient

GOAL = 1.05
BATCH = 4096


def resident() -> float:
    """Resident memory in MiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def main(items: int = 1_000_000, size: int = 512) -> None:
    """Print the memory after warming up, along the way and at the end."""
    with echo_server() as address, RewardClient(RECIPE, address) as client:

        def work(count: int) -> None:
            for number in range(count // BATCH):
                rollouts = rollouts_of(BATCH, size)
                if number % 8 == 7:
                    for future in [client.submit(rollout) for rollout in rollouts]:
                        future.result()
                else:
                    client.score(rollouts).summary()

        work(32 * BATCH)
        first = resident()
        print(f"warm: {first:.1f} MiB", flush=True)
        for part in range(4):
            work(items // 4)
            print(f"{(part + 1) * items // 4:>9} items: {resident():.1f} MiB", flush=True)
        print(f"ratio {resident() / first:.3f} (goal {GOAL})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
