"""A reward for a behaviour, for or against, by what it does for the answer."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def conditional_sign(accuracy: FloatArray, behaviour: BoolArray, groups: Groups, *, margin: float = 0.05) -> FloatArray:
    """``[Q]`` 1 where rows with the behaviour are more accurate by more than ``margin``, -1 where less, else 0.

    A group in which all rows have it, or none, gets 0: there is nothing to compare.

    Source: GeometryZero, GCPO (arXiv 2506.07160) eq. 3, as quoted in a review.
    """
    have, lack = groups.sum(behaviour), groups.sum(~behaviour)
    with_it = groups.sum(np.where(behaviour, accuracy, 0.0)) / np.maximum(have, 1)
    without = groups.sum(np.where(behaviour, 0.0, accuracy)) / np.maximum(lack, 1)
    gap = np.where((have > 0) & (lack > 0), with_it - without, 0.0)
    return np.where(np.abs(gap) > margin, np.sign(gap), 0.0)
