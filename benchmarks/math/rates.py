"""Rates per kind of answer beside math-verify in the same run; real responses; memory; import time.

    python -m benchmarks.math.rates [--pairs N] [--rounds N] [--alone]

One process, distinct pairs in every round, gold and answer both parsed for each pair; CPU time, so that other load
matters less; medians over the rounds.  The last table uses compiled golds on real responses, which is how a trainer
calls the engine.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reward_servers.engines.math import compile_gold, judge

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "math"
Pair = tuple[str, str]


def integers(rng: random.Random) -> Pair:
    n = rng.randrange(-(10**6), 10**6)
    return str(n), f"{n}"


def decimals(rng: random.Random) -> Pair:
    n = rng.randrange(10**6)
    return f"{n / 1000:.3f}", f"{n / 1000:.4f}"


def fractions(rng: random.Random) -> Pair:
    a, b, k = rng.randrange(1, 999), rng.randrange(2, 999), rng.randrange(2, 9)
    return f"\\frac{{{a}}}{{{b}}}", f"\\frac{{{k * a}}}{{{k * b}}}"


def radicals(rng: random.Random) -> Pair:
    a, b, c = rng.randrange(2, 99), rng.randrange(2, 999), rng.randrange(2, 99)
    return f"\\frac{{{a}+\\sqrt{{{b}}}}}{{{c}}}", f"\\frac{{{a}}}{{{c}}}+\\frac{{\\sqrt{{{b}}}}}{{{c}}}"


def wrong_radicals(rng: random.Random) -> Pair:
    gold, answer = radicals(rng)
    return gold, f"{answer}+\\frac{{1}}{{{rng.randrange(50, 999)}}}"


def matrices(rng: random.Random) -> Pair:
    a, b, c, d = (rng.randrange(-99, 99) for _ in range(4))
    return (
        f"\\begin{{pmatrix}}{a}&{b}\\\\{c}&{d}\\end{{pmatrix}}",
        f"\\begin{{bmatrix}}{a} & {b} \\\\ {c} & {d}.0\\end{{bmatrix}}",
    )


def polynomials(rng: random.Random) -> Pair:
    a, b = rng.randrange(1, 99), rng.randrange(1, 99)
    return f"x^2+{a + b}x+{a * b}", f"(x+{a})(x+{b})"


def tuples(rng: random.Random) -> Pair:
    a, b, c = (rng.randrange(1, 999) for _ in range(3))
    return f"({a},\\frac{{{b}}}{{2}},{c})", f"({a}, {b / 2}, {c})"


def intervals(rng: random.Random) -> Pair:
    a, w, v = rng.randrange(-99, 99), rng.randrange(1, 99), rng.randrange(1, 99)
    return f"[{a},{a + w})\\cup({a + w + v},\\infty)", f"({a + w + v}, \\infty) \\cup [{a}, {a + w})"


def equations(rng: random.Random) -> Pair:
    a, b, c = (rng.randrange(1, 99) for _ in range(3))
    return f"{a}x+{b}y={c}", f"{2 * a}x+{2 * b}y-{2 * c}=0"


def sets(rng: random.Random) -> Pair:
    a, b, c = rng.sample(range(1000), 3)
    return f"\\{{{a},{b},{c}\\}}", f"\\{{{c}, {a}, {b}\\}}"


def trigonometry(rng: random.Random) -> Pair:
    k = rng.randrange(2, 999)
    return f"\\sin^2({k}x)", f"1-\\cos^2({k}x)"


KINDS: list[Callable[[random.Random], Pair]] = [
    integers, decimals, fractions, radicals, wrong_radicals, matrices, polynomials, tuples, intervals, equations, sets,
    trigonometry,
]  # fmt: skip


def timed(grade: Callable[[str, str], bool], pairs: list[Pair]) -> list[float]:
    times = []
    gc.collect()
    gc.freeze()  # what the peers hold is not ours to walk
    for gold, answer in pairs:
        response = f"Adding both sides gives the result, so the answer is $\\boxed{{{answer}}}$."
        start = time.process_time()
        grade(gold, response)
        times.append(time.process_time() - start)
    return sorted(times)


def ours(gold: str, response: str) -> bool:
    return judge(response, gold).correct


def kinds(count: int, rounds: int, peer: Callable[[str, str], bool] | None) -> None:
    print(f"{'kind':16} {'pairs/s':>10} {'p99 ms':>8} {'max ms':>8}   {'math-verify/s':>13} {'ratio':>7}")
    for make in KINDS:
        found = [one_round(make, number, count, peer) for number in range(rounds)]
        rate, p99, longest, other, ratio = (statistics.median(column) for column in zip(*found, strict=True))
        line = f"{make.__name__:16} {rate:10.0f} {p99 * 1e3:8.3f} {longest * 1e3:8.2f}"
        print(line if peer is None else f"{line}   {other:13.1f} {ratio:7.1f}", flush=True)


def one_round(
    make: Callable[[random.Random], Pair], number: int, count: int, peer: Callable[[str, str], bool] | None
) -> tuple[float, float, float, float, float]:
    """Our rate, the 99th percentile and the longest of our times, the peer's rate, and the ratio of the rates."""
    rng = random.Random(f"{make.__name__} {number}")
    pairs = list(dict.fromkeys(make(rng) for _ in range(count)))
    mine = timed(ours, pairs)
    rate = len(mine) / sum(mine)
    other = rate
    if peer is not None:
        theirs = timed(peer, pairs[: max(40, count // (50 if make is trigonometry else 10))])
        other = len(theirs) / sum(theirs)
    return rate, mine[int(len(mine) * 0.99)], mine[-1], other, rate / other


def rollouts() -> Iterator[str]:
    for name in ("math_rollouts.jsonl", "gsm8k_rollouts.jsonl"):
        rows = [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
        golds = {r["reference"]["answer"]: compile_gold(r["reference"]["answer"]) for r in rows}
        pairs = [(r["response"], golds[r["reference"]["answer"]]) for r in rows]
        best = 0.0
        for _ in range(7):
            start = time.process_time()
            for response, gold in pairs:
                judge(response, gold)
            best = max(best, len(pairs) / (time.process_time() - start))
        length = sum(len(r["response"]) for r in rows) / len(rows)
        yield f"{name}: {best:,.0f} pairs/s per core with compiled golds ({length:.0f} characters on average)"
    long = [
        ("We add the terms step by step. " * 160 + f"So it is $\\boxed{{{n}}}$.", compile_gold(str(n)))
        for n in range(400)
    ]
    start = time.process_time()
    for response, gold in long * 5:
        judge(response, gold)
    yield f"integers in 4,900 characters: {len(long) * 5 / (time.process_time() - start):,.0f} pairs/s"


def memory(count: int = 20_000) -> str:
    for n in range(2000):
        judge(f"\\boxed{{\\sqrt{{{n}}}+x}}", f"\\sqrt{{{n}}}+y")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(count):
        judge(f"thus \\boxed{{{n}x+1}}", f"{n}x+2")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{count:,} judgements of distinct pairs: {grown:.1f} MiB more"


def imports() -> str:
    code = (
        "import time, sys; t = time.perf_counter(); import reward_servers.engines.math; "
        "print((time.perf_counter() - t) * 1e3, 'sympy' in sys.modules)"
    )
    # With its bytecode written, as after an installation.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout.split()
        for _ in range(7)
    ]
    return f"import: {min(float(r[0]) for r in runs):.0f} ms (best of 7), sympy loaded: {runs[0][1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="without math-verify")
    args = parser.parse_args()
    peer = None
    if not args.alone:
        from benchmarks.math.accuracy import math_verify

        peer = math_verify()
        peer("1", "\\boxed{\\sqrt{2}}")
    ours("1", "\\boxed{\\sqrt{2}}")
    print(imports())
    kinds(args.pairs, args.rounds, peer)
    for line in rollouts():
        print(line)
    print(memory())


if __name__ == "__main__":
    main()
