"""Compression of high rewards and stretching of low ones around a threshold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats
from trainer_client.signals._errors import InputError, OptionError


def asymmetric_shaping(
    rewards: ArrayLike, *, threshold: float = 0.8, high: float = 0.01, low: float = 1.0
) -> FloatArray:
    """TempSamp-R1's shaping, by which one excellent answer cannot push all its siblings below zero.

    At or above the threshold ``t``: ``t + high * ln(r - t + 1)``; below: ``t - (exp(low * (t - r)) - 1) /
    (exp(low) - 1)``. Both give ``t`` at ``t``. The curve is made for rewards in [0, 1].

    Args:
        rewards: ``[N]``.
        threshold: ``t``, in [0, 1].
        high: factor of the logarithm; the smaller, the flatter the top.
        low: curvature below the threshold; 0 is the limit, a straight line of slope 1.

    Raises:
        OptionError: ``threshold`` lies outside [0, 1], or ``low`` is negative.
        InputError: a reward lies outside [0, 1].

    Source: arXiv 2509.18056; the lower branch as in ZhangZikun6666/TempSamp-R1 scripts/timelens @55a92280, a
    re-implementation by others.
    """
    if not 0 <= threshold <= 1:
        raise OptionError(f"threshold: {threshold} is outside [0, 1]")
    if low < 0:
        raise OptionError(f"low: {low} is negative; 0 is a straight line")
    reward = as_floats("rewards", rewards)
    outside = np.flatnonzero((reward < 0) | (reward > 1))
    if outside.size:
        raise InputError(
            f"rewards: {reward.flat[outside[0]]} (row {outside[0]}) lies outside [0, 1], for which the shaping is "
            "made; choose weights that sum to 1, or map the rewards there"
        )
    above = threshold + high * np.log1p(np.maximum(reward - threshold, 0.0))
    below = np.maximum(threshold - reward, 0.0)
    drop = below if low == 0 else np.expm1(low * below) / math.expm1(low)
    return np.where(reward >= threshold, above, threshold - drop)
