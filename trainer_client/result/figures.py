"""Figures of values in groups: how they lie, how far apart they are within and between prompts, and the best of k."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_client.signals import Groups

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Values of rollouts in figures; None where there is nothing to take them of.

    Attributes:
        mean: mean of all values.
        std: their standard deviation (the population's).
        low: the lowest.
        high: the highest.
        within: spread within prompts: root of the mean variance of a group.
        between: spread between prompts: standard deviation of the groups' means.
        average: mean over groups of a group's mean: avg@k, which is the same for each k.
        best: by k, the expected highest value of k rollouts of a group, without bias, mean over the groups that have k.
            Of values that are all 0 or 1 it is pass@k. The last k is the commonest size of a group.
        binary: whether all values are 0 or 1.
        short: groups that are left out of the last ``best``, since they have fewer values.
    """

    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    within: float | None = None
    between: float | None = None
    average: float | None = None
    best: dict[int, float]
    binary: bool = False
    short: int = 0


def figures_of(values: FloatArray, ids: Groups) -> Figures:
    """Figures of ``[N]`` values; NaN marks a rollout without one.

    Args:
        values: the values.
        ids: the groups of the ``N`` rollouts.
    """
    present = ~np.isnan(values)
    values, groups = values[present], ids.take(present)
    if not values.size:
        return Figures(best={})
    means = groups.mean(values)
    (size, _), *_ = Counter(groups.sizes.tolist()).most_common(1)
    ks = [1 << power for power in range(size.bit_length()) if 1 << power < size] + [size]
    return Figures(
        mean=float(values.mean()),
        std=float(values.std()),
        low=float(values.min()),
        high=float(values.max()),
        within=float(np.sqrt((groups.deviation(values) ** 2).mean())),
        between=float(means.std()),
        average=float(means.mean()),
        best={k: best_of(values, groups, k) for k in ks},
        binary=bool(np.isin(values, (0.0, 1.0)).all()),
        short=int((groups.sizes < size).sum()),
    )


def best_of(values: FloatArray, groups: Groups, k: int) -> float:
    """Expected highest value of k rollouts drawn from a group without replacement, mean over groups that have k.

    The i-th lowest of n values is the highest of C(i-1, k-1) of the C(n, k) subsets. Of 0/1 values this is
    ``1 - C(n-c, k) / C(n, k)`` (Chen et al. 2021, arXiv 2107.03374).
    """
    ordered = values[np.lexsort((values, groups.index))]
    starts = np.concatenate(([0], np.cumsum(groups.sizes)[:-1]))
    total = 0.0
    count = 0
    for size in np.unique(groups.sizes[groups.sizes >= k]).tolist():
        first = starts[groups.sizes == size]
        total += float((ordered[first[:, None] + np.arange(size)] @ _weights(size, k)).sum())
        count += first.size
    return total / count


def _weights(n: int, k: int) -> FloatArray:
    """``[n]`` share of the subsets of size k in which the i-th lowest value is the highest."""
    i = np.arange(n - 1, 0, -1, dtype=np.float64)
    # From the highest down: C(i-1, k-1) = C(i, k-1) * (i-k+1) / i.
    factors = np.concatenate((np.array([k / n]), np.maximum(i - k + 1, 0.0) / i))
    weights: FloatArray = np.cumprod(factors)[::-1].astype(np.float64)
    return weights


def correlations(first: FloatArray, second: FloatArray) -> tuple[float, float] | None:
    """Pearson's and Spearman's correlation of ``[N]`` values; None where one side is constant or N is below 3."""
    if first.size < 3 or not first.std() or not second.std():
        return None
    pearson = float(np.corrcoef(first, second)[0, 1])
    return pearson, float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values have the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: FloatArray = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(middle[inverse], np.float64)
