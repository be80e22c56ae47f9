"""The rows of a group that differ most."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def max_variance_subset(values: FloatArray, groups: Groups, keep: int) -> BoolArray:
    """``[N]`` the ``keep`` rows of each group whose values have the largest variance; all of a smaller group.

    They are always the ends of the sorted group: its ``keep - k`` lowest and ``k`` highest for some ``k``. Of equal
    variances the smallest ``k`` is taken; tied rows are told apart by batch order.

    Raises:
        BadOption: ``keep`` is below 1.

    Source: OSU-NLP-Group/cobalt preproc/process_multi_turn_taco.py @18ce6aed.
    """
    if keep < 1:
        raise BadOption(f"keep: {keep} rows; choose at least 1")
    if not values.size:
        return np.zeros(0, np.bool_)
    rank = groups.rank(values)
    size = groups.spread(groups.sizes)
    # Relative to the middle of its range a group's sums of squares lose no digits.
    middle = (groups.max(values) + groups.min(values)) / 2
    centred = groups.apply(np.subtract, values, middle)
    best, high = np.full(len(groups), -1.0), np.zeros(len(groups), np.int64)
    for k in range(keep):
        chosen = (rank < keep - k) | (rank >= size - k)
        taken = np.where(chosen, centred, 0.0)
        number = np.minimum(groups.sizes, keep)
        variance = groups.sum(taken * taken) / number - (groups.sum(taken) / number) ** 2
        better = variance > best * (1.0 + 1e-12) + 1e-15 if k else np.ones(len(groups), np.bool_)
        best, high = np.where(better, variance, best), np.where(better, k, high)
    top = groups.spread(high)
    result: BoolArray = (rank < keep - top) | (rank >= size - top)
    return result
