"""The budget of Knapsack RL's release, for replaying its runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import SignalError

from ._budget import even_split


def release_knapsack(
    rates: FloatArray,
    known: BoolArray,
    *,
    default_n: int = 8,
    min_n: int = 2,
    max_n: int = 128,
    failed_n: int | None = None,
    solved_n: int | None = None,
    fallback: bool = True,
    confidence: float = 0.9,
) -> IntArray:
    """``[Q]`` rollouts as the release gives them; see `allocate_knapsack` for the arguments.

    It departs in three ways: a prompt without an extra rollout is credited with nothing, one with ``k`` with all of
    ``V(min_n + k)``; unknown prompts count as failing when a surplus is shared; and it computes in single precision.

    Raises:
        SignalError: every prompt teaches and they need less than there is: the release's check of the sum fails.

    Source: liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b.
    """
    p = np.where(known, rates, 0.0).astype(np.float32)
    total = default_n * p.size
    teaches = known & (p > 0) & (p < 1)
    budget = np.full(p.size, default_n, np.int64)
    budget[teaches] = min_n
    budget[known & (p == 0)] = min_n if failed_n is None else failed_n
    budget[known & (p >= 1)] = min_n if solved_n is None else solved_n
    left, failing = total - int(budget.sum()), p == 0
    if left > 0 and not teaches.any():
        if not failing.any():
            return np.full(p.size, default_n, np.int64)
        budget[failing] += even_split(left, int(failing.sum()))
        return budget
    # The release's own estimate: the rate in double precision, the quotient rounded to single.
    exact = rates[teaches]
    need = np.log(1.0 - confidence) / np.log(np.maximum(exact, 1.0 - exact))
    needed = int(np.minimum(need.astype(np.float32), max_n).astype(np.int64).sum())
    if needed < left and fallback:
        others = failing if failing.any() else ~teaches
        if not others.any():
            raise SignalError("release/knapsack_rl: nobody can take the surplus; the release stops here as well")
        budget[others] += even_split(left - needed, int(others.sum()))
        left = needed
    if left > 0:
        budget[teaches] += _spread(p[teaches], min_n, max_n - min_n, left)
    if int(budget.sum()) != total:
        raise SignalError(f"release/knapsack_rl: gave {budget.sum()} rollouts of {total}; the release stops as well")
    return budget


def _spread(p: NDArray[np.float32], min_n: int, most: int, total: int) -> IntArray:
    """The release's dynamic programme; of equal values the smallest number stands."""
    best = np.full(total + 1, -np.inf)
    best[0] = 0.0
    choices = np.zeros((p.size, total + 1), np.int64)
    for row, rate in enumerate(p):
        gained = best.copy()
        wrong = np.float32(1) - rate
        for k in range(1, min(most, total) + 1):
            value = (1 - rate ** (k + min_n) - wrong ** (k + min_n)) * rate * wrong**2
            candidate = best[: total + 1 - k] + value
            better = candidate > gained[k:]
            gained[k:][better] = candidate[better]
            choices[row, k:][better] = k
        best = gained
    usable = int(np.flatnonzero(np.isfinite(best))[-1])
    given, left = np.zeros(p.size, np.int64), usable
    for row in range(p.size - 1, -1, -1):
        given[row] = choices[row, left]
        left -= int(given[row])
    return given + even_split(total - usable, p.size)
