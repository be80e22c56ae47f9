"""Faults at three replicas under steady load, one at a time and then in random combinations, on loopback.

For each: items lost (without a score), verdicts changed (against what the verifier says of the response), items judged
more than once at the servers, the longest batch, and processes left. A changed verdict, or a lost item, ends it with 1.

    python -m benchmarks.chaos [--short] [--combinations] [--minutes 1] [--seed 7]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.chaos._fleet import FAULTS, Fault, Fleet, fleet_of, refused
from benchmarks.chaos.verifiers import score_of
from trainer_client import AsyncRewardClient, Batching, Recipe, Retries, Reward, Rollout

_RECIPE = Recipe(
    rewards=(
        Reward("main", "chaos/counted", deadline_s=120.0, tasks=("counted",)),
        Reward("math", "math", deadline_s=120.0, tasks=("math",)),
        Reward("code", "code", deadline_s=120.0, tasks=("code",)),
    ),
    max_missing=1.0,
)
_RETRIES = Retries(heartbeat_timeout_s=1.0, stall_timeout_s=2.0, unavailable_timeout_s=60.0)


class Figures(NamedTuple):
    """What a fault did."""

    items: int
    lost: int
    changed: int
    twice: int
    longest: float


def _rollouts(name: str, items: int) -> tuple[list[Rollout], list[float]]:
    """A batch, mostly of counted items, with an answer in ten and a program in a hundred; and the scores they have."""
    rollouts, expected = [], []
    for n in range(items):
        rollout_id, text, right = f"{name}-{n}", f"{name} {n}", n % 20 < 10
        if n % 100 == 50:
            code = f"# {text}\nprint(int(input()) + {1 if n % 200 == 50 else 2})"
            reference: Any = {"tests": [{"stdin": "1\n", "stdout": "2\n"}]}
            rollouts.append(
                Rollout(rollout_id, "p", f"```python\n{code}\n```", rollout_id, reference=reference, task="code")
            )
            expected.append(float(n % 200 == 50))
        elif n % 10 == 0:
            answer = f"{text}: The answer is \\boxed{{{n if right else n + 1}}}."
            rollouts.append(Rollout(rollout_id, "p", answer, rollout_id, reference={"answer": str(n)}, task="math"))
            expected.append(float(right))
        else:
            rollouts.append(Rollout(rollout_id, "p", text, f"{name}-{n // 8}", task="counted"))
            expected.append(score_of(text))
    return rollouts, expected


async def _load(client: AsyncRewardClient, name: str, items: int, until: asyncio.Event) -> tuple[int, int, int, float]:
    """Score batch after batch until told to stop, and one more."""
    total = lost = changed = 0
    longest, number, last = 0.0, 0, False
    while not last:
        last = until.is_set()
        number += 1
        rollouts, expected = _rollouts(f"{name}-{number}", items)
        started = time.monotonic()
        table = await client.score(rollouts)
        longest = max(longest, time.monotonic() - started)
        scores, valid = table.scores[table.asked], table.valid[table.asked]
        total += items
        lost += int((~valid).sum())
        changed += int((valid & (scores != expected)).sum())
    return total, lost, changed, longest


async def _try(
    client: AsyncRewardClient, fleet: Fleet, log: Path, name: str, faults: list[Fault], items: int, draw: random.Random
) -> Figures:
    await asyncio.to_thread(log.write_text, "")
    over = asyncio.Event()
    loads = [asyncio.create_task(_load(client, f"{name}-{n}", items, over)) for n in range(2)]
    await asyncio.sleep(0.1)
    await asyncio.gather(*(fault(fleet, draw) for fault in faults))
    over.set()
    done = await asyncio.gather(*loads)
    judged = (await asyncio.to_thread(log.read_text)).split("\n")[:-1]
    return Figures(
        sum(one[0] for one in done),
        sum(one[1] for one in done),
        sum(one[2] for one in done),
        len(judged) - len(set(judged)),
        max(one[3] for one in done),
    )


async def _run(short: bool, minutes: float, seed: int, combinations_only: bool) -> bool:
    draw = random.Random(seed)
    print(f"seed {seed}; three replicas with two workers each, two loads at a time")
    print(f"{'fault':70} {'items':>7} {'lost':>5} {'changed':>8} {'twice':>6} {'longest':>9}", flush=True)
    items, good = (200 if short else 1000), True
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "judged"
        log.touch()
        async with fleet_of(3, Path(folder)) as fleet:
            for name, why in (cannot := refused(fleet)).items():
                print(f"{name}: not here: {why}")
            able = {name: fault for name, fault in FAULTS.items() if name not in cannot}
            async with AsyncRewardClient(
                _RECIPE, fleet.addresses, retries=_RETRIES, batching=Batching(max_items=64)
            ) as client:
                await client.score(_rollouts("warm", 200)[0])
                tries = [] if combinations_only else [(name, [fault]) for name, fault in able.items()]
                ends = time.monotonic() + 60 * minutes
                for number, (name, faults) in enumerate(tries):
                    good &= _report(name, await _try(client, fleet, log, f"f{number}", faults, items, draw))
                number = 0
                while time.monotonic() < ends:
                    names = draw.sample(list(able)[1:], 3)
                    chosen = [able[name] for name in names]
                    number += 1
                    good &= _report(
                        " + ".join(names), await _try(client, fleet, log, f"c{number}", chosen, items, draw)
                    )
    left = [p.pid for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    print(f"processes left: {len(left)}")
    return good and not left


def _report(name: str, found: Figures) -> bool:
    print(
        f"{name[:70]:70} {found.items:>7} {found.lost:>5} {found.changed:>8} {found.twice:>6} {found.longest:>8.2f}s",
        flush=True,
    )
    return not found.lost and not found.changed


def main() -> None:
    """Run every fault, then combinations for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--short", action="store_true", help="every fault once under little load, no combinations")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long in all, combinations included")
    parser.add_argument("--combinations", action="store_true", help="random combinations only")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    logging.getLogger("trainer_client").setLevel(logging.ERROR)
    sys.exit(
        0
        if asyncio.run(_run(given.short, 0.0 if given.short else given.minutes, given.seed, given.combinations))
        else 1
    )


if __name__ == "__main__":
    main()
