"""Filters that keep or drop whole groups by a metric of their rows."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def varied_groups(metric: FloatArray, groups: Groups, valid: BoolArray, *, keep_singletons: bool = True) -> BoolArray:
    """``[N]`` rows of groups whose valid rows differ in ``metric`` (`Groups.constant`).

    A group with one valid row has nothing to differ from: it is kept (verl's rule) or not. A group without a
    valid row is dropped.
    """
    live = groups.take(valid)
    is_kept = ~live.constant(metric[valid])
    if keep_singletons:
        is_kept |= live.sizes == 1
    # Rows without a verdict go with their group.
    alive = np.zeros(groups.rows)
    alive[valid] = live.spread(is_kept)
    result: BoolArray = groups.spread(groups.any(alive > 0))
    return result
