"""MC-GRPO: the median as centre, and the row that is the median left out."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def median_pivots(rewards: FloatArray, groups: Groups) -> BoolArray:
    """``[N]`` one row a group: the first that holds the median (of two middle values the lower)."""
    median = groups.median(rewards, "lower")
    at_median = rewards == groups.spread(median)
    first = groups.min(np.where(at_median, np.arange(rewards.size), rewards.size))
    result: BoolArray = np.arange(rewards.size) == groups.spread(first)
    return result


def median_deviation(rewards: FloatArray, groups: Groups) -> FloatArray:
    """``[Q]`` median absolute deviation from the median, both the lower of two middle values."""
    return groups.median(np.abs(groups.apply(np.subtract, rewards, groups.median(rewards, "lower"))), "lower")
