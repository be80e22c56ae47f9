"""A reward from a rubric's criteria."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadInput


def rubric_reward(verdicts: FloatArray, weights: FloatArray, given: BoolArray) -> tuple[FloatArray, BoolArray]:
    """``[N]`` weighted share of the criteria met, and which rows have a verdict to take it from.

    ``sum w * v / sum of positive w`` over the criteria that hold a verdict; those without one are left out of both
    sums. Negative weights are pitfalls: they subtract, and the reward is held within [0, 1].

    Args:
        verdicts: ``[N, K]``, 0 to 1.
        weights: ``[N, K]``; 0 where a row's rubric has no such criterion.
        given: ``[N, K]`` verdicts that exist.

    Raises:
        BadInput: a row's rubric has no criterion with a positive weight.
    """
    positive = np.maximum(weights, 0.0)
    bare = np.flatnonzero(positive.sum(1) <= 0) if positive.size else np.arange(len(weights))
    if bare.size:
        raise BadInput(f"criterion_weights: row {bare[0]} has no criterion with a positive weight; a rubric needs one")
    reach = np.where(given, positive, 0.0).sum(1)
    earned = np.where(given, weights * verdicts, 0.0).sum(1)
    rewards = earned / np.where(reach > 0, reach, 1.0)
    pitfalls = (weights < 0).any(1)
    return np.where(pitfalls, np.clip(rewards, 0.0, 1.0), rewards), reach > 0
