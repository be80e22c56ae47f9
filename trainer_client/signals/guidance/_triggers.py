"""When a prompt needs help."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def unsolved_groups(rewards: FloatArray, groups: Groups, valid: BoolArray, *, threshold: float = 0.5) -> BoolArray:
    """``[Q]`` groups that have a valid row and none with a reward above ``threshold``.

    A group without a valid row is not unsolved: nothing is known of it.
    """
    best = groups.max(np.where(valid, rewards, -np.inf))
    result: BoolArray = groups.any(valid) & (best <= threshold)
    return result
