"""Metrics of one ranked list.

Each takes the grades of the listed documents in their order; a grade above 0 is relevant. ``all_grades`` are those of
all documents that exist, listed or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def ndcg(grades: Sequence[float], all_grades: Sequence[float], k: int, exponential: bool = True) -> float:
    """Discounted cumulative gain of the first ``k`` by that of the best order; 0 where nothing is relevant.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques (TOIS 2002); the exponential gain
    ``2^grade - 1`` is that of Burges et al. (ICML 2005).
    """
    best = _dcg(sorted(all_grades, reverse=True)[:k], exponential)
    return min(1.0, _dcg(grades[:k], exponential) / best) if best > 0 else 0.0


def reciprocal_rank(grades: Sequence[float], k: int) -> float:
    """One over the place of the first relevant document among the first ``k``; 0 without one."""
    return next((1.0 / place for place, grade in enumerate(grades[:k], start=1) if grade > 0), 0.0)


def average_precision(grades: Sequence[float], all_grades: Sequence[float], k: int) -> float:
    """Mean of the precision at each relevant document among the first ``k``, over as many as could stand there."""
    relevant = min(k, sum(grade > 0 for grade in all_grades))
    hits, total = 0, 0.0
    for place, grade in enumerate(grades[:k], start=1):
        if grade > 0:
            hits += 1
            total += hits / place
    return total / relevant if relevant else 0.0


def recall(grades: Sequence[float], all_grades: Sequence[float], k: int) -> float:
    """Share of the relevant documents that stand among the first ``k``."""
    relevant = sum(grade > 0 for grade in all_grades)
    return sum(grade > 0 for grade in grades[:k]) / relevant if relevant else 0.0


def precision(grades: Sequence[float], k: int) -> float:
    """Relevant documents among the first ``k``, over ``k``: places left empty count as misses."""
    return sum(grade > 0 for grade in grades[:k]) / k


def _dcg(grades: Sequence[float], exponential: bool) -> float:
    gains = (2.0**grade - 1.0 if exponential else grade for grade in grades)
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))
