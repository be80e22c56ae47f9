"""How well ``assay plan`` foretells a step: the seconds that it says beside those of a step of other rollouts.

Usage: ``python -m benchmarks.plan [--rounds 5] [--verifier code]``. In each round a third of the groups is drawn as
the sample, from which the plan is made. The other groups are a step, which servers then score that have scored the
sample alone. Servers that compute have one replica, since more of them would share the cores of this host; one that
waits has four. A sample of few tasks differs from the step: "for equal items" divides the ratio by how much longer the
verifier ran for an item of the sample than for one of the step.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.server._common import our_server
from reward_servers import Rollout as Judged
from reward_servers import Score, verifier
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout, Server, read_rollouts
from trainer_client.result.rows import rollout_fields

_DATA = Path(__file__).resolve().parents[1] / "tests" / "data"


@verifier("bench/waits", version="1", concurrency=4)
async def waits(rollout: Judged) -> Score:
    """A score that follows from the text alone, after a wait of 10 to 30 ms that does too."""
    share = len(rollout.response) % 101 / 100
    await asyncio.sleep(0.01 + 0.02 * share)
    return Score(share)


_WAITS = "benchmarks.plan:waits"


_ENDLESS = "infinite_loop"
"""Programs that are left out: each takes its time limit, and the few of a step this small would decide it."""


class Case(NamedTuple):
    """A server whose step is foretold.

    Attributes:
        starts: What ``assay serve`` is told.
        verifier: The name of the verifier.
        file: Its rollouts.
        workers: Of each replica.
        replicas: That the step is spread over.
    """

    starts: str
    verifier: str
    file: str
    workers: int
    replicas: int


_CASES = (
    Case("math", "math", "math/gsm8k_rollouts.jsonl", 1, 1),
    Case("math", "math", "math/gsm8k_rollouts.jsonl", 2, 1),
    Case("code", "code", "code/humaneval_rollouts.jsonl", 1, 1),
    Case("code", "code", "code/humaneval_rollouts.jsonl", 2, 1),
    Case(_WAITS, "bench/waits", "math/gsm8k_rollouts.jsonl", 1, 4),
)


def _parts(case: Case, number: int) -> tuple[list[Rollout], list[Rollout]]:
    """The sample and the step of a round, in whole groups."""
    groups: dict[str, list[Rollout]] = {}
    for rollout in read_rollouts(_DATA / case.file).rollouts:
        if not rollout.rollout_id.endswith(_ENDLESS):
            groups.setdefault(rollout.group_id, []).append(rollout)
    drawn = list(groups.values())
    random.Random(number).shuffle(drawn)
    cut = len(drawn) // 3
    return list(chain(*drawn[:cut])), list(chain(*drawn[cut:]))


def foretold(case: Case, sample: Sequence[Rollout], items: int, folder: Path) -> float:
    """Seconds that ``assay plan`` says of a step."""
    rows = (rollout_fields(rollout) for rollout in sample)
    (folder / "sample.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-P", "-m", "reward_servers", "plan", str(folder / "sample.jsonl")]
    command += ["--verifier", case.starts, "--workers", str(case.workers), "--json"]
    command += ["--rollouts-per-step", str(items), "--step-s", "3600"]
    environment = {**os.environ, "PYTHONPATH": str(_DATA.parents[1])}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    (row,) = json.loads(said.stdout)["servers"]
    return float(row["start_seconds"] + items / row["items_per_second"] / case.replicas)


async def step_of(case: Case, sample: Sequence[Rollout], step: Sequence[Rollout]) -> tuple[float, float]:
    """Score a step at servers that have scored nothing but the sample.

    Returns:
        Its seconds, and the verifier's seconds for an item of the sample beside one of the step.

    Raises:
        RuntimeError: An item has no score: what is measured would not be the work.
    """
    recipe = Recipe((Reward("r", case.verifier),), servers=(Server("s", (case.verifier,)),), advantage=None)
    with contextlib.ExitStack() as stack:
        options = ("--cache-bytes", "0")
        endpoints = [
            stack.enter_context(our_server(case.starts, workers=case.workers, options=options)).address
            for _ in range(case.replicas)
        ]
        async with AsyncRewardClient(recipe, {"s": endpoints}) as client:
            for _ in range(3):
                before = await client.score(sample)
            began = time.perf_counter()
            table = await client.score(step)
            took = time.perf_counter() - began
    if not table.valid.all():
        raise RuntimeError(f"{case}: {table.summary()}")
    return took, float(before.run_seconds.mean() / table.run_seconds.mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verifier", choices=sorted({case.verifier for case in _CASES}), help="this one alone")
    given = parser.parse_args()
    head = (
        "server",
        "workers",
        "replicas",
        "rollouts of a step",
        "plan, s",
        "step, s",
        "plan / step",
        "for equal items",
    )
    print(f"| {' | '.join(head)} | load |\n{'|---' * (len(head) + 1)}|")
    for case in _CASES:
        if given.verifier not in (None, case.verifier):
            continue
        measured: list[tuple[float, float, float]] = []
        for number in range(given.rounds):
            sample, step = _parts(case, number)
            with tempfile.TemporaryDirectory() as folder:
                said = foretold(case, sample, len(step), Path(folder))
            measured.append((said, *asyncio.run(step_of(case, sample, step))))
        seconds = [f"{median(column):.3g}" for column in list(zip(*measured, strict=True))[:2]]
        plain = _spread([said / took for said, took, _ in measured])
        equal = _spread([said / took / drawn for said, took, drawn in measured])
        cells = (
            case.verifier,
            case.workers,
            case.replicas,
            len(step),
            *seconds,
            plain,
            equal,
            round(os.getloadavg()[0]),
        )
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
