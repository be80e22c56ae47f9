"""BNPO: centred success rates weighted by the inverse density of a fitted Beta distribution."""

from __future__ import annotations

from math import lgamma
from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import FloatArray

from ._batch import Reduce, batch_moments


class BetaFit(NamedTuple):
    """Parameters of the normaliser; ``(1, 1)`` weighs all prompts alike."""

    alpha: float
    beta: float


def fit_normaliser(rates: FloatArray, *, reduce: Reduce | None = None, tolerance: float = 1e-12) -> BetaFit:
    """The Beta normaliser for the success rates of a batch's prompts.

    A Beta distribution ``(a, b)`` is fitted to the rates by their mean and sample variance; the normaliser is
    ``(max(1, 1 + a / 3), max(1, 1 + b / 3))``. With one prompt, or rates that do not differ, there is nothing to fit:
    ``(1, 1)``. Rates that are all 0 or 1 leave no variance inside (0, 1) and end at ``(1, 1)`` as well.

    Args:
        rates: ``[Q]`` success rate of each prompt, in [0, 1].
        reduce: sums a small array over ranks.
        tolerance: variance up to which the rates count as equal.

    Source: BNPO, changyi7231/BNPO recipe/bnpo/src/bnpo_ray_trainer.py @a9c51b98.
    """
    n, mean, squares = batch_moments(rates, np.ones(rates.size, np.bool_), reduce=reduce)
    variance = squares / (n - 1) if n > 1 else 0.0
    if variance <= tolerance:
        return BetaFit(1.0, 1.0)
    concentration = mean * (1.0 - mean) / variance - 1.0
    return BetaFit(max(1.0, 1.0 + concentration * mean / 3.0), max(1.0, 1.0 + concentration * (1.0 - mean) / 3.0))


def inverse_density(rates: FloatArray, fit: BetaFit, *, max_weight: float = 1e6) -> FloatArray:
    """``[Q]`` ``min(max_weight, 1 / density of the normaliser at the rate)``."""
    constant = lgamma(fit.alpha + fit.beta) - lgamma(fit.alpha) - lgamma(fit.beta)
    with np.errstate(divide="ignore"):
        log_density = constant + _times_log(fit.alpha - 1.0, rates) + _times_log(fit.beta - 1.0, 1.0 - rates)
    return np.minimum(np.exp(np.minimum(-log_density, 700.0)), max_weight)


def _times_log(factor: float, values: FloatArray) -> FloatArray:
    """``factor * log(values)`` with ``0 * log 0 = 0``."""
    return factor * np.log(values) if factor else np.zeros(values.shape)
