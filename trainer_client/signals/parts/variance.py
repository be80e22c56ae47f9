"""The rows of a group that differ most."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import OptionError
from trainer_client.signals._groups import Groups

_SAME = 1e-9
"""Variances of values within [-1, 1] this near count as equal: more than the rounding of sums over a million rows."""


def max_variance_subset(values: FloatArray, groups: Groups, keep: int) -> BoolArray:
    """``[N]`` the ``keep`` rows of each group whose values have the largest variance; all of a smaller group.

    They are always the ends of the sorted group: its ``keep - k`` lowest and ``k`` highest for some ``k``. Of equal
    variances the smallest ``k`` is taken; tied rows are told apart by batch order.

    Raises:
        OptionError: ``keep`` is below 1.

    Source: OSU-NLP-Group/cobalt preproc/process_multi_turn_taco.py @18ce6aed.
    """
    if keep < 1:
        raise OptionError(f"keep: {keep} rows; choose at least 1")
    if not values.size:
        return np.zeros(0, np.bool_)
    size = groups.sizes
    kept = np.minimum(keep, size)
    # Within [-1, 1] whatever the rewards, so that no digits are lost in the squares and one tolerance serves all.
    middle, half = (groups.max(values) + groups.min(values)) / 2, (groups.max(values) - groups.min(values)) / 2
    centred = groups.apply(np.subtract, values, middle) / groups.spread(np.where(half > 0, half, 1.0))
    ordered = centred[np.lexsort((values, groups.index))]
    sums, squares = (np.concatenate((np.zeros(1), np.cumsum(part))) for part in (ordered, ordered * ordered))
    # One candidate for each group and each number k < keep of rows from its upper end.
    owner = np.repeat(np.arange(len(groups)), kept)
    first = np.cumsum(kept) - kept
    k = np.arange(owner.size) - np.repeat(first, kept)
    low = groups.starts[owner]
    cut, top = low + kept[owner] - k, low + size[owner] - k
    end = low + size[owner]
    mean = (sums[cut] - sums[low] + sums[end] - sums[top]) / kept[owner]
    variance = (squares[cut] - squares[low] + squares[end] - squares[top]) / kept[owner] - mean**2
    best = np.maximum.reduceat(variance, first)
    near = variance >= np.repeat(best, kept) - _SAME
    high = groups.spread(np.minimum.reduceat(np.where(near, k, keep), first))
    rank, rows = groups.rank(values), groups.spread(size)
    result: BoolArray = (rank < groups.spread(kept) - high) | (rank >= rows - high)
    return result
