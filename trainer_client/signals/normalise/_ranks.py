"""Ranks instead of rewards."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._groups import Groups

Ties = Literal["average", "first"]


def centred_ranks(rewards: FloatArray, groups: Groups, *, ties: Ties = "average") -> FloatArray:
    """``[N]`` ranks in the group, evenly from -1 (worst) to 1 (best); 0 for a group of one.

    Args:
        rewards: ``[N]``.
        groups: partition of the rows.
        ties: equal rewards share their mean rank (``average``), or are told apart by batch order (``first``).
    """
    ranks = groups.rank(rewards).astype(np.float64)
    if ties == "average" and rewards.size:
        equal = groups.cross(Groups.of(np.unique(rewards, return_inverse=True)[1]))
        ranks = equal.spread(equal.mean(ranks))
    top = groups.spread(groups.sizes) - 1
    return np.where(top > 0, 2.0 * ranks / np.maximum(top, 1) - 1.0, 0.0)


def softmax_shares(rewards: FloatArray, groups: Groups, temperature: float = 1.0) -> FloatArray:
    """``[N]`` ``exp(r / temperature)`` over its group's sum: positive, and 1 in total."""
    raised = np.exp(groups.apply(np.subtract, rewards, groups.max(rewards)) / temperature)
    result: FloatArray = groups.apply(np.divide, raised, groups.sum(raised))
    return result
