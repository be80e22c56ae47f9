"""Advantages of rollouts that are still being written."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray

from ._returns import generalised_advantages


def truncated_advantages(
    token_rewards: FloatArray,
    values: FloatArray,
    mask: BoolArray,
    finished: BoolArray,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
) -> FloatArray:
    """``[N, T]`` GAE in which an unfinished row ends on its own last estimate.

    After its last token a finished row has the value 0. An unfinished one is taken to go on as before, with
    ``V(s_l) = V(s_{l-1})``, and its reward is not counted: nobody has judged it. Its last error is then
    ``(gamma - 1) * V(s_{l-1})``.

    Args:
        token_rewards: ``[N, T]``.
        values: ``[N, T]``.
        mask: ``[N, T]`` tokens generated so far; others pass value and advantage on.
        finished: ``[N]``.
        gamma: discount.
        lam: decay of later errors.

    Source: T-PPO (arXiv 2506.15050), the assumption on the last state as quoted in reviews.
    """
    if not values.shape[1]:
        return np.zeros(values.shape)
    last = values.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    final = np.where(finished, 0.0, values[np.arange(len(values)), last])
    rewards = np.where(finished[:, None], token_rewards, 0.0)
    advantages = generalised_advantages(rewards, values, mask, gamma=gamma, lam=lam, final_values=final)
    return np.where(mask, advantages, 0.0)
