"""XRPO: Pushing the limits of GRPO with Targeted Exploration and Exploitation.

XRPO (arXiv 2510.06672), public reviews; the estimate of the gain and the exploration term are ours.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import heapify, heapreplace
from math import cos, inf, log, pi, sin, sqrt, tan

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.budgets import budgeted

PAPER = Paper("xrpo", __doc__, provenance="secondary")


@register(
    "xrpo_budget",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups"),
    formula="next rollout to the largest h(n) - h(n+1) + exploration * sqrt(ln(1+T) / n), h = t * std / sqrt(n)",
    laws=Laws(permutation=False, removal=False),
)
def xrpo_budget(
    batch: SignalBatch, *, extra: int | None = None, confidence: float = 0.95, exploration: float = 1.0
) -> Signal:
    """XRPO's allocation: the next round's rollouts go to the prompts whose mean reward is least certain.

    ``budget`` is what a row's prompt is to be given on top of what it has; together ``extra``, one a prompt unless
    given.
    """
    valid, groups = batch.taken()
    deviations = groups.deviation(batch.rewards[valid], 1)
    number = len(groups) if extra is None else extra
    budgets = allocate_uncertain(groups.sizes, deviations, number, confidence=confidence, exploration=exploration)
    return budgeted(batch, groups, budgets, {})


@lru_cache(maxsize=4096)
def student_quantile(confidence: float, df: int) -> float:
    """The number that Student's t with ``df`` degrees of freedom stays within, on both sides, with ``confidence``.

    Bisection of the closed form for whole ``df`` (Abramowitz and Stegun 26.7.3 and 26.7.4) in the angle
    ``atan(t / sqrt(df))``.

    Raises:
        OptionError: ``confidence`` is outside (0, 1), or ``df`` below 1.
    """
    if not 0.0 < confidence < 1.0 or df < 1:
        raise OptionError(f"confidence: {confidence} must lie in (0, 1), df: {df} be at least 1")
    low, high = 0.0, pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < confidence else (low, middle)
    return sqrt(df) * tan((low + high) / 2)


def _within(theta: float, df: int) -> float:
    """Chance that ``|t| <= sqrt(df) * tan(theta)``."""
    s, c = sin(theta), cos(theta)
    if df % 2 == 0:
        term, total = 1.0, 1.0
        for k in range(2, df, 2):
            term *= c * c * (k - 1) / k
            total += term
        return s * total
    term, total = c, c if df > 1 else 0.0
    for k in range(3, df, 2):
        term *= c * c * (k - 1) / k
        total += term
    return 2.0 / pi * (theta + s * total)


def allocate_uncertain(
    counts: IntArray, deviations: FloatArray, extra: int, *, confidence: float = 0.95, exploration: float = 1.0
) -> IntArray:
    """``[Q]`` further rollouts for each prompt, one at a time to the largest priority.

    The priority of a prompt with ``n`` rollouts is what one more would take off the half-width ``h(n)`` of its
    confidence interval, ``h(n) - h(n+1)`` at the present deviation, plus ``exploration * sqrt(ln(1 + T) / n)``,
    ``T`` being all rollouts before this round. Below two rollouts it is infinite: there is no deviation yet.

    Args:
        counts: ``[Q]`` rollouts so far.
        deviations: ``[Q]`` sample deviation of their rewards.
        extra: rollouts to give.
        confidence: of the interval (Student's t).
        exploration: weight of the second part.

    Source: XRPO (arXiv 2510.06672), public reviews; the estimate of the gain and the exploration term are ours.
    """
    spent = int(counts.sum())
    budgets = np.zeros(counts.size, np.int64)

    def priority(row: int) -> float:
        n = int(counts[row] + budgets[row])
        if n < 2:
            return inf
        gain = float(deviations[row]) * (_half_width(confidence, n) - _half_width(confidence, n + 1))
        return gain + exploration * sqrt(log(1 + spent) / n)

    if not counts.size:
        return budgets
    heap = [(-priority(row), row) for row in range(counts.size)]
    heapify(heap)
    for _ in range(max(extra, 0)):
        row = heap[0][1]
        budgets[row] += 1
        # T is that of the start of the round, so that only this row's priority changes.
        heapreplace(heap, (-priority(row), row))
    return budgets


@lru_cache(maxsize=4096)
def _half_width(confidence: float, n: int) -> float:
    return student_quantile(confidence, n - 1) / sqrt(n)
