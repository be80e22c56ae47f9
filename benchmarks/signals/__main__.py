"""``python -m benchmarks.signals``: GRPO over a million rollouts, and every estimator side by side.

All times are the best of several runs in one process, given as ratios to two plain numpy passes over the same
rewards (their mean and their deviation by group), which is what GRPO cannot do without.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer_client.signals import INPUTS, Method, SignalBatch, advantages, method, methods

ROLLOUTS = 1_048_576
GROUP = 8
ROWS, TOKENS, COMPONENTS = 65_536, 64, 3
REQUIRED: dict[str, dict[str, Any]] = {
    **{name: {"max_length": 60, "cache": 20} for name in ("overlong", "overlong_verl", "dapo")},
    "fgrpo": {"targets": (0.9, 0.9)},
    "w_grpo": {"negative": 0.5},
}
"""Options of methods that have no default for them."""
COLUMNS = {"format_length": 2, "rarg": 4, "searchllm": 4}
"""Methods that read another number of components."""
AXES = {"P": 8, "E": 16, "D": 16, "I": 8, "S": 2, "H": 64, "M": 10, "J": 3, "C": 2, "O": 2}
"""Lengths of the axes besides rows, tokens and components."""
UNSUITED = {
    "grace": "compares every row with every other",
    "win_shares": "reads comparisons of every row with every other",
    "release/knapsack_rl": "a dynamic programme over prompts and rollouts, as released",
    "ps_grpo": "reads a similarity of every row with every other",
}
"""Methods that a batch of this size does not suit, and why."""
ROW_OBJECTS: dict[str, Any] = {
    "predictions": [None] * 7 + [{"math_notion": "angle, circle", "solution_length": 50, "pass_rate": 4}],
    "texts": ["the angle of a circle", "a median"] * 4,
    "questions": ["find the delta"] * 8,
    "dimension_comparisons": [{"clarity": [1.0, 0.0]}] * 8,
    "facts": [["a", "b", "c"]] * 8,
    "hits": [[["a"], [], ["b", "x"]]] * 8,
    "selected": [["a", "b"]] * 8,
    "gold_evidence": [["b", "c"]] * 8,
    "reference_texts": ["[a median]", None] * 4,
    "expected_winners": ["A", "B"] * 4,
    "predicted_winners": ["A", "A"] * 4,
    "hints": [[["a lemma"], ["a plan", "a step"]]] * 8,
}
"""Inputs that are lists of objects: what a group of eight rows holds; two numbers a row unless named here."""


def best(call: Callable[[], object], runs: int = 7) -> float:
    """Seconds of the fastest run."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def two_passes(rewards: np.ndarray) -> Callable[[], object]:
    """Mean and deviation of groups that are contiguous and equal."""
    table = rewards.reshape(-1, GROUP)
    return lambda: (table.mean(axis=1), table.std(axis=1, ddof=1))


def grpo_at_scale() -> float:
    """Print GRPO's ratios; the first is the one that is held to 3."""
    rng = np.random.default_rng(0)
    rewards = rng.integers(0, 2, ROLLOUTS).astype(np.float64)
    groups = np.repeat(np.arange(ROLLOUTS // GROUP), GROUP)
    valid = rng.random(ROLLOUTS) < 0.95
    order = rng.permutation(ROLLOUTS)
    mixed, among = rewards[order], groups[order]
    base = best(two_passes(rewards))
    rows = {
        "contiguous groups": lambda: advantages("grpo", rewards, groups=groups),
        "5 % of the rewards missing": lambda: advantages("grpo", rewards, groups=groups, valid=valid),
        "interleaved groups": lambda: advantages("grpo", mixed, groups=among),
    }
    print(f"GRPO, {ROLLOUTS:,} rollouts in groups of {GROUP}; two numpy passes take {base * 1e3:.1f} ms")
    ratios = {name: best(call) / base for name, call in rows.items()}
    for name, ratio in ratios.items():
        print(f"  {name:<28} {ratio:6.2f} x")
    return ratios["contiguous groups"]


def make_batch(spec: Method) -> SignalBatch:
    """A batch with every input that a method reads."""
    rng = np.random.default_rng(1)
    sizes = {"N": ROWS, "T": TOKENS, "K": COLUMNS.get(spec.name, COMPONENTS), **AXES}
    groups = np.repeat(np.arange(ROWS // GROUP), GROUP)
    made: dict[str, Any] = {}
    for wish in (alternatives.split("|")[0] for alternatives in spec.inputs):
        declared = INPUTS[wish]
        shape = tuple(sizes[letter] for letter in declared.axes)
        if wish == "groups":
            made[wish] = groups
        elif wish == "rewards":
            made[wish] = rng.integers(0, 2, shape).astype(np.float64)
        elif wish == "lengths":
            made[wish] = rng.integers(TOKENS // 2, TOKENS + 1, shape)
        elif wish == "mutants":
            made[wish] = np.full(shape, 4)
        elif wish == "trajectories":
            made[wish] = np.arange(ROWS)
        elif wish == "noisy":
            made[wish] = np.arange(ROWS) % GROUP > 0
        elif wish == "preferred":
            made[wish] = np.arange(ROWS) % GROUP == 0
        elif declared.kind == "ids":
            made[wish] = rng.integers(0, 4, shape)
        elif declared.kind == "rows":
            made[wish] = ROW_OBJECTS.get(wish, [[0.0, 1.0]] * GROUP) * (ROWS // GROUP)
        elif declared.kind == "int":
            made[wish] = rng.integers(0, 2, shape)
        elif declared.kind == "bool":
            made[wish] = rng.random(shape) < 0.5
        else:
            made[wish] = -rng.random(shape) if "logprobs" in wish else rng.random(shape)
    return SignalBatch(step=1, **made)


def table() -> None:
    """Print every estimator's time."""
    base = best(two_passes(np.random.default_rng(0).integers(0, 2, ROWS).astype(np.float64)))
    print(f"\nall methods, {ROWS:,} rows, {TOKENS} tokens where tokens are read; two passes {base * 1e3:.2f} ms")
    for spec in methods():
        if spec.name in UNSUITED:
            print(f"  {spec.name:<40} left out: {UNSUITED[spec.name]}")
            continue
        batch = make_batch(spec)
        estimator = method(spec.name, **REQUIRED.get(spec.name, {}))
        taken = best(lambda e=estimator, b=batch: e(b), runs=3)  # type: ignore[misc]
        by_token = any(INPUTS[name].axes == "NT" for wish in spec.inputs for name in wish.split("|"))
        print(f"  {spec.name:<40} {taken * 1e3:9.2f} ms {taken / base:9.1f} x{'  by token' if by_token else ''}")


def main() -> int:
    ratio = grpo_at_scale()
    table()
    return 0 if ratio <= 3.0 else 1


if __name__ == "__main__":
    sys.exit(main())
