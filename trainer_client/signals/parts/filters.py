"""Filters that keep or drop whole groups by a metric of their rows."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def varied_groups(metric: FloatArray, groups: Groups, valid: BoolArray, *, keep_singletons: bool = True) -> BoolArray:
    """``[N]`` rows of groups whose valid rows differ in ``metric``.

    A group with one valid row has nothing to differ from: it is kept (verl's rule) or not. A group without a
    valid row is dropped.
    """
    number = groups.sum(valid)
    high = groups.max(np.where(valid, metric, -np.inf))
    low = groups.min(np.where(valid, metric, np.inf))
    kept: BoolArray = (number > 1) & (high > low)
    if keep_singletons:
        kept = kept | (number == 1)
    result: BoolArray = groups.spread(kept)
    return result
