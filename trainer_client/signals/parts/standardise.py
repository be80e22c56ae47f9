"""Statistics over the whole batch, summed across ranks when a reduce hook is given."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, Reduce
from trainer_client.signals._groups import TOLERANCE

Stabiliser = Literal["std", "variance", "floor"]


def batch_sum(values: FloatArray, reduce: Reduce | None = None) -> FloatArray:
    """Sum of a small array over ranks; the array itself if the whole batch is present."""
    return values if reduce is None else np.asarray(reduce(values), dtype=np.float64)


def batch_moments(
    values: FloatArray,
    where: BoolArray,
    *,
    weights: FloatArray | None = None,
    reduce: Reduce | None = None,
) -> tuple[float, float, float]:
    """Count, mean and sum of squared deviations of the entries that count.

    Two passes (and two reductions), because the one-pass form loses the variance of large rewards.

    Args:
        values: any shape.
        where: same shape; entries that take part.
        weights: same shape; how often each entry counts (tokens of a row, for token statistics of a value
            that is the same on all of them).
        reduce: sums a small array over ranks.

    Returns:
        ``(n, mean, sum of (x - mean)^2)``; ``(0, 0, 0)`` when nothing takes part.
    """
    selected = values[where]
    often = np.ones(selected.size) if weights is None else weights[where]
    n, total = (float(x) for x in batch_sum(np.array([often.sum(), (often * selected).sum()]), reduce))
    if n == 0:
        return 0.0, 0.0, 0.0
    mean = total / n
    squares = batch_sum(np.array([(often * (selected - mean) ** 2).sum()]), reduce)
    return n, mean, float(squares[0])


def is_constant(n: float, mean: float, squares: float, tolerance: float = TOLERANCE) -> bool:
    """Whether the values of a whole batch are constant, up to `TOLERANCE`."""
    return n == 0 or squares <= n * (tolerance * abs(mean)) ** 2


def standardise(
    values: FloatArray,
    where: BoolArray,
    *,
    ddof: int = 1,
    eps: float = 1e-4,
    stabiliser: Stabiliser = "std",
    weights: FloatArray | None = None,
    reduce: Reduce | None = None,
) -> FloatArray:
    """``(x - mean) / scale`` over the whole batch.

    Exactly 0 outside ``where`` and for a constant batch, where the published forms divide the rounding of the
    mean by something near ``eps``.

    Args:
        values: any shape.
        where: same shape; entries that take part.
        ddof: 1 for the sample, 0 for the population variance.
        eps: keeps the scale off zero, as ``stabiliser`` says.
        stabiliser: ``std``: ``sqrt(var) + eps`` (TRL); ``variance``: ``sqrt(var + eps)`` (verl's whitening);
            ``floor``: ``sqrt(max(var, eps))`` (OpenRLHF's whitening).
        weights: how often each entry counts; see `batch_moments`.
        reduce: sums a small array over ranks.
    """
    n, mean, squares = batch_moments(values, where, weights=weights, reduce=reduce)
    if n <= ddof or is_constant(n, mean, squares):
        return np.zeros_like(values)
    variance = squares / (n - ddof)
    if stabiliser == "std":
        scale = variance**0.5 + eps
    else:
        scale = (variance + eps if stabiliser == "variance" else max(variance, eps)) ** 0.5
    return np.where(where, (values - mean) / scale, 0.0)
