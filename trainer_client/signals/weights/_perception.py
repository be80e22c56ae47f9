"""Weights of a loss that asks the policy to depend on what it sees."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption

from ._aggregation import Aggregation, token_weights


def perception_weights(
    divergence: FloatArray,
    mask: BoolArray,
    rows: FloatArray,
    *,
    top: float | None = None,
    average: Aggregation = "token-mean",
) -> FloatArray:
    """``[N, T]`` weight of each token's divergence in the mean that a loss maximises.

    Args:
        divergence: ``[N, T]`` KL estimate between the answer given the image and given the spoiled one.
        mask: ``[N, T]`` tokens that count.
        rows: ``[N]`` factor of each row.
        top: keep the tokens of a row at or above its ``1 - top`` quantile (linear); None for all.
        average: over which tokens the mean is taken; tokens that are not kept count in its divisor.

    Raises:
        BadOption: ``top`` is outside (0, 1].

    Source: PAPO, MikeWangWZHL/PAPO verl/workers/actor/dp_actor.py @fb63bf45.
    """
    kept = mask
    if top is not None:
        if not 0.0 < top <= 1.0:
            raise BadOption(f"top: {top} of a row's tokens; choose more than 0 and at most 1")
        kept = mask & (divergence >= _row_quantile(divergence, mask, 1.0 - top)[:, None])
    return np.where(kept, token_weights(mask, average), 0.0) * rows[:, None]


def _row_quantile(values: FloatArray, mask: BoolArray, q: float) -> FloatArray:
    """``[N]`` quantile over the masked-in entries of each row; minus infinity for a row without any."""
    number = mask.sum(1)
    if not mask.shape[1]:
        return np.full(len(values), -np.inf)
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    place = q * np.maximum(number - 1, 0)
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    rows = np.arange(len(values))
    at_low, at_high = ordered[rows, low], ordered[rows, high]
    some = number > 0
    gap = np.where(some, at_high, 0.0) - np.where(some, at_low, 0.0)
    return np.where(some, np.where(some, at_low, 0.0) + gap * (place - low), -np.inf)
