"""Rates of this tree beside those of another checkout of the project, in alternating rounds of one run.

    python -m benchmarks.math.side_by_side PATH [--rounds 9] [--pairs 400] [--kinds integers,radicals]

Each round starts a process for each tree, so that no state is shared; CPU time; medians and the spread over the
rounds.  The kinds are those of `benchmarks.math.rates`; golds are compiled before the clock starts, as a trainer does,
and the corpora are those of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.math.rates import DATA, KINDS

ROOT = Path(__file__).resolve().parents[2]
_BEST_OF = 3

WORK = """
import json, sys, time
from reward_servers.engines.math import compile_gold, judge
found = {}
for name, pairs in json.load(sys.stdin).items():
    golds = {}
    for gold, _ in pairs:
        if gold not in golds:
            try:
                golds[gold] = compile_gold(gold)
            except ValueError:
                golds[gold] = None
    ready = [(response, golds[gold]) for gold, response in pairs if golds[gold] is not None]
    for response, gold in ready[:20]:
        judge(response, gold)
    best = float("inf")
    for _ in range(BEST_OF):
        for gold in golds.values():
            if gold is not None and hasattr(gold, "decided"):
                gold.decided.clear()
        start = time.process_time()
        for response, gold in ready:
            judge(response, gold)
        best = min(best, time.process_time() - start)
    found[name] = len(ready) / best
print(json.dumps(found))
"""
"""What each process does; it uses the public functions alone, and forgets what a gold remembers of earlier answers."""


def corpora(pairs: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Names of kinds and their pairs of gold and response."""
    for make in KINDS:
        rng = random.Random(make.__name__)
        made: Callable[[random.Random], tuple[str, str]] = make
        yield (
            made.__name__,
            [(g, f"Adding both sides gives $\\boxed{{{a}}}$.") for g, a in (made(rng) for _ in range(pairs))],
        )
    yield "authored cases", [(str(r["reference"]["answer"]), r["response"]) for r in _rows("cases.jsonl")]
    for name in ("math_rollouts", "gsm8k_rollouts"):
        yield name, [(str(r["reference"]["answer"]), r["response"]) for r in _rows(f"{name}.jsonl")]


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def one_round(tree: Path, work: str) -> dict[str, float]:
    """Pairs per CPU second of each kind, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", WORK.replace("BEST_OF", str(_BEST_OF))],
        input=work, capture_output=True, text=True, check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--kinds", help="only these, separated by commas; all without it")
    args = parser.parse_args()
    kinds = dict(corpora(args.pairs))
    if args.kinds is not None:
        wanted = args.kinds.split(",")
        if unknown := [kind for kind in wanted if kind not in kinds]:
            parser.error(f"--kinds: {', '.join(unknown)} is none of {', '.join(kinds)}")
        kinds = {kind: kinds[kind] for kind in wanted}
    work = json.dumps(kinds)
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    began = time.monotonic()
    for number in range(args.rounds):
        sides = [(ROOT, ours), (args.other.resolve(), theirs)]
        for tree, found in sides if number % 2 else reversed(sides):
            found.append(one_round(tree, work))
    print(f"{args.rounds} rounds in {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
    print(f"{'kind':16} {'this tree/s':>12} {'other/s':>12} {'ratio':>7} {'of rounds':>15}")
    for kind in kinds:
        ratios = sorted(a[kind] / b[kind] for a, b in zip(ours, theirs, strict=True))
        mine, other = (statistics.median(r[kind] for r in side) for side in (ours, theirs))
        print(
            f"{kind:16} {mine:12,.0f} {other:12,.0f} {statistics.median(ratios):7.2f} "
            f"{ratios[0]:7.2f} to {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
