"""How many rollouts each prompt is given from a fixed total."""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption

Cost = Literal["probability", "expectation"]
BudgetSolver = Literal["greedy", "exact"]


def even_split(total: int, shares: int) -> IntArray:
    """``[shares]`` whole numbers that add up to ``total``, the earlier ones taking what is over."""
    whole, left = divmod(total, max(shares, 1))
    split: IntArray = whole + (np.arange(shares) < left).astype(np.int64)
    return split


def fill_by_gain(gains: FloatArray, total: int) -> IntArray:
    """``[Q]`` units given to each row of ``[Q, M]`` marginal gains, the largest first, at most ``M`` to a row.

    Exact when every row's gains fall: the best ``total`` entries are then each row's first ones. Ties go to the
    earlier row.
    """
    best = np.argsort(-gains, axis=None, kind="stable")[: max(total, 0)]
    filled: IntArray = np.bincount(best // max(gains.shape[1], 1), minlength=gains.shape[0])
    return filled


def mixed_group_value(rates: FloatArray, size: FloatArray | IntArray) -> FloatArray:
    """``(1 - p^N - (1-p)^N) * p * (1-p)^2``: the chance of a group with both outcomes, times what it teaches.

    Source: Knapsack RL (arXiv 2509.25849) section 3.
    """
    value: FloatArray = (1.0 - rates**size - (1.0 - rates) ** size) * rates * (1.0 - rates) ** 2
    return value


def rollouts_needed(rates: FloatArray, max_n: int, *, confidence: float = 0.9, cost: Cost = "probability") -> IntArray:
    """``[Q]`` rollouts until a group with both outcomes may be expected, at most ``max_n``; rates within (0, 1).

    ``probability``: ``ln(1 - confidence) / ln(max(p, 1-p))``; ``expectation``: ``1 / (p * (1-p)) - 1``.

    Raises:
        BadOption: the cost is unknown.
    """
    if cost not in get_args(Cost):
        raise BadOption(f"cost: {cost!r} is not one of {', '.join(get_args(Cost))}")
    if cost == "probability":
        needed = np.log(1.0 - confidence) / np.log(np.maximum(rates, 1.0 - rates))
    else:
        needed = 1.0 / (rates * (1.0 - rates)) - 1.0
    whole: IntArray = np.minimum(needed, max_n).astype(np.int64)
    return whole


def allocate_knapsack(
    rates: FloatArray,
    known: BoolArray,
    total: int,
    *,
    default_n: int = 8,
    min_n: int = 2,
    max_n: int = 128,
    failed_n: int | None = None,
    solved_n: int | None = None,
    fallback: bool = True,
    confidence: float = 0.9,
    cost: Cost = "probability",
) -> IntArray:
    """``[Q]`` rollouts for each prompt that maximise the summed `mixed_group_value`; they add up to ``total``.

    An unknown prompt has ``default_n``. Prompts with a rate within (0, 1) start at ``min_n``, and the rest is filled
    in by the largest marginal value, which is exact. If they need less than is left (``fallback``), the surplus goes
    evenly to prompts that always fail, else to all that teach nothing, else stays with those that do.

    Args:
        rates: ``[Q]`` success rates.
        known: ``[Q]`` prompts whose rate is known.
        total: rollouts to give.
        default_n: for an unknown prompt.
        min_n: least for a prompt that both fails and succeeds.
        max_n: most for such a prompt, unless nobody else is there to take what is left.
        failed_n: for one that always fails; ``min_n`` when None.
        solved_n: for one that always succeeds; ``min_n`` when None.
        fallback: see above.
        confidence: of `rollouts_needed`.
        cost: of `rollouts_needed`.

    Raises:
        BadOption: the least numbers add up to more than ``total``, or a bound makes no sense.

    Source: Knapsack RL (arXiv 2509.25849); liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b, whose
    solver credits an item without an extra rollout with nothing and so spreads too thin.
    """
    if not 0 <= min_n <= max_n or not 0 < confidence < 1:
        raise BadOption(f"min_n: {min_n} and max_n: {max_n} must rise from 0, confidence: {confidence} lie in (0, 1)")
    failed, teaches = known & (rates <= 0), known & (rates > 0) & (rates < 1)
    of_failed, of_solved = (min_n if n is None else n for n in (failed_n, solved_n))
    budget = np.select([~known, failed, teaches], [default_n, of_failed, min_n], of_solved).astype(np.int64)
    left = total - int(budget.sum())
    if left < 0:
        raise BadOption(f"total: {total} is less than the {total - left} rollouts that the least numbers add up to")
    others = failed if bool(failed.any()) else ~teaches
    p, surplus = rates[teaches], 0
    if fallback and bool(others.any()):
        surplus = max(left - int(rollouts_needed(p, max_n, confidence=confidence, cost=cost).sum()), 0)
    sizes = np.arange(min_n, max_n + 1)
    gains = np.diff(mixed_group_value(p[:, None], sizes), axis=1)
    filled = fill_by_gain(gains, left - surplus)
    budget[teaches] += filled
    over = left - surplus - int(filled.sum())
    # What max_n keeps from them goes where the surplus goes.
    return _add(budget, others if bool(others.any()) else teaches, surplus + over)


def allocate_contrast(
    rates: FloatArray, total: int, *, low: int = 2, high: int = 128, solver: BudgetSolver = "greedy"
) -> IntArray:
    """``[Q]`` rollouts for each prompt, at most ``total``, for the largest number of wrong ones beside a right one.

    ``U(B, p) = B * (1-p) * (1 - (1-p)^(B-1))`` is the expected number of wrong rollouts in a group with a right one.
    It is convex in ``B`` at first where ``p`` is small, so that filling by marginal utility (``greedy``, the paper's)
    falls short of the best (``exact``, by dynamic programming).

    Args:
        rates: ``[Q]`` success rates.
        total: rollouts to give at most; what no prompt can use is left.
        low: least for a prompt.
        high: most for a prompt.
        solver: see above.

    Raises:
        BadOption: the least numbers add up to more than ``total``.

    Source: V_0 (arXiv 2602.03584) eq. 9, 10, as quoted in a public digest.
    """
    if not 0 <= low <= high:
        raise BadOption(f"low: {low} and high: {high} must rise from 0")
    if total < low * rates.size:
        raise BadOption(f"total: {total} is less than {low} rollouts for each of {rates.size} prompts")
    sizes = np.arange(low, high + 1)
    wrong = 1.0 - rates[:, None]
    utility = sizes * wrong * (1.0 - wrong ** np.maximum(sizes - 1, 0))
    extra = total - low * rates.size
    return low + (_best_split(utility, extra) if solver == "exact" else _greedy_split(utility, extra))


def _add(budget: IntArray, where: BoolArray, amount: int) -> IntArray:
    budget[where] += even_split(amount, int(where.sum()))
    return budget


def _greedy_split(utility: FloatArray, extra: int) -> IntArray:
    """Units beyond the first column, one at a time to the largest gain; ends when nothing gains."""
    taken = np.zeros(utility.shape[0], np.int64)
    gains = np.diff(utility, axis=1)
    if not gains.size:
        return taken
    heap = [(-gain, row) for row, gain in enumerate(gains[:, 0].tolist())]
    heapify(heap)
    for _ in range(extra):
        gain, row = heap[0]
        if gain >= 0.0:
            break
        taken[row] += 1
        left = taken[row] < gains.shape[1]
        heapreplace(heap, (-float(gains[row, taken[row]]) if left else 0.0, row))
    return taken


def _best_split(utility: FloatArray, extra: int) -> IntArray:
    """The same by dynamic programming over rows: ``best[w]`` for ``w`` units, then back through the choices."""
    rows, columns = utility.shape
    extra = min(extra, rows * (columns - 1))
    best = np.zeros(extra + 1)
    choices = np.zeros((rows, extra + 1), np.int64)
    for row in range(rows):
        gained = best + utility[row, 0]
        for more in range(1, min(columns - 1, extra) + 1):
            candidate = best[: extra + 1 - more] + utility[row, more]
            better = candidate > gained[more:]
            gained[more:][better] = candidate[better]
            choices[row, more:][better] = more
        best = gained
    taken = np.zeros(rows, np.int64)
    left = int(np.argmax(best))
    for row in range(rows - 1, -1, -1):
        taken[row] = choices[row, left]
        left -= int(taken[row])
    return taken
