"""Group statistics in which a row counts more or less than once."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._groups import TOLERANCE, Groups


def weighted_normalise(rewards: FloatArray, groups: Groups, counts: FloatArray, *, eps: float = 1e-6) -> FloatArray:
    """``[N]`` advantages ``(r - mean) / (std + eps)`` where row ``i`` stands for ``counts[i]`` rows.

    The deviation is that of the population (ddof 0): with fractional counts there is no sample size to correct for.
    A row with count 0 has no say in the statistics and is still measured against them. Where the counted rows are
    equal, everyone gets 0.

    Args:
        rewards: ``[N]``.
        groups: partition of the rows.
        counts: ``[N]`` not negative.
        eps: added to the deviation.
    """
    often = groups.sum(counts)
    safe = np.where(often > 0, often, 1.0)
    shifted = groups.apply(np.subtract, rewards, groups.first(rewards))
    centred = groups.apply(np.subtract, shifted, groups.sum(counts * shifted) / safe)
    squares = groups.sum(counts * centred * centred)
    degenerate = squares <= often * (TOLERANCE * groups.max(np.abs(rewards))) ** 2
    divisor = np.sqrt(squares / safe) + eps
    factor = np.where(degenerate | (divisor == 0), 0.0, 1.0 / np.where(divisor == 0, 1.0, divisor))
    scaled: FloatArray = groups.apply(np.multiply, centred, factor)
    return scaled
