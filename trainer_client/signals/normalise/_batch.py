"""Statistics over the whole batch, summed across ranks when a reduce hook is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray

Reduce: TypeAlias = Callable[[FloatArray], FloatArray]
"""Elementwise sum of an array over all ranks (an all-reduce); None where the whole batch is present."""


def batch_moments(
    values: FloatArray, where: BoolArray, *, reduce: Reduce | None = None
) -> tuple[float, float, float]:
    """Count, mean and sum of squared deviations of the entries that take part.

    Two passes (and two reductions), because the one-pass form loses the variance of large rewards.

    Args:
        values: any shape.
        where: same shape; entries that take part.
        reduce: sums a small array over ranks.

    Returns:
        ``(n, mean, sum of (x - mean)^2)``; ``(0, 0, 0)`` when nothing takes part.
    """
    taken = values[where]
    total = np.array([taken.size, taken.sum()], dtype=np.float64)
    if reduce is not None:
        total = np.asarray(reduce(total), dtype=np.float64)
    n = float(total[0])
    if n == 0:
        return 0.0, 0.0, 0.0
    mean = float(total[1]) / n
    squares = np.array([((taken - mean) ** 2).sum()], dtype=np.float64)
    if reduce is not None:
        squares = np.asarray(reduce(squares), dtype=np.float64)
    return n, mean, float(squares[0])


def is_constant(n: float, mean: float, squares: float, tolerance: float = 1e-12) -> bool:
    """Whether a set of values is constant up to the rounding of its mean."""
    return n == 0 or squares <= n * (tolerance * abs(mean)) ** 2


def standardise(
    values: FloatArray,
    where: BoolArray,
    *,
    ddof: int = 1,
    eps: float = 1e-4,
    centre: bool = True,
    reduce: Reduce | None = None,
) -> FloatArray:
    """``(x - mean) / (std + eps)`` over the whole batch; 0 outside ``where`` and for a constant batch.

    With ``centre=False`` only the division is done (a constant batch still gives 0).
    """
    n, mean, squares = batch_moments(values, where, reduce=reduce)
    if n <= ddof or is_constant(n, mean, squares):
        return np.zeros_like(values)
    std = np.sqrt(squares / (n - ddof))
    return np.where(where, (values - (mean if centre else 0.0)) / (std + eps), 0.0)


def whiten(
    values: FloatArray, where: BoolArray, *, ddof: int = 1, eps: float = 1e-8, reduce: Reduce | None = None
) -> FloatArray:
    """``(x - mean) / sqrt(var + eps)`` over all entries that take part (typically tokens).

    Differs from `standardise` in where ``eps`` stands. Constant entries give exactly 0: the published forms
    divide the rounding of the mean by ``sqrt(eps)`` there.
    """
    n, mean, squares = batch_moments(values, where, reduce=reduce)
    if n <= ddof or is_constant(n, mean, squares):
        return np.zeros_like(values)
    return np.where(where, (values - mean) / np.sqrt(squares / (n - ddof) + eps), 0.0)
