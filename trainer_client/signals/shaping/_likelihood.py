"""Rewards that prefer right answers the policy found unlikely."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def mean_logprobs(logprobs: FloatArray, mask: BoolArray) -> FloatArray:
    """``[N]`` mean log-probability over each row's generated tokens; 0 for a row without any."""
    total = np.where(mask, logprobs, 0.0).sum(1)
    mean: FloatArray = total / np.maximum(mask.sum(1), 1)
    return mean


def unlikeliness(rewards: FloatArray, scores: FloatArray, groups: Groups, *, penalty: float = 0.25) -> FloatArray:
    """``[N]`` rewards ``r * (1 - penalty * k / n)``, ``k`` the row's rank by likelihood, 0 for the least likely.

    Tied rows rank in batch order.

    Args:
        rewards: ``[N]``; a negative one is shrunk as well, so that the likely failure loses less.
        scores: ``[N]`` length-averaged log-probabilities under the sampling policy.
        groups: partition of the rows; ``n`` is a group's size.
        penalty: what the likeliest of many loses, in [0, 1].

    Raises:
        BadOption: ``penalty`` is outside [0, 1].

    Source: "Rewarding the Unlikely" (arXiv 2506.02355) section 4; AndreHe02/rewarding-unlikely-release
    verl/trainer/ppo/ray_lean_trainer.py @ca1cff05.
    """
    if not 0.0 <= penalty <= 1.0:
        raise BadOption(f"penalty: {penalty} must lie in [0, 1]")
    share = groups.apply(np.divide, groups.rank(scores).astype(np.float64), groups.sizes)
    return rewards * (1.0 - penalty * share)
