"""Advantages of rollouts that are still being written."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray


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
    result = np.zeros_like(values)
    running = np.zeros(len(values))
    last = values.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1) if values.shape[1] else np.zeros(len(values), int)
    final = values[np.arange(len(values)), last] if values.shape[1] else np.zeros(len(values))
    next_value = np.where(finished, 0.0, final)
    rewards = np.where(finished[:, None], token_rewards, 0.0)
    for t in range(values.shape[1] - 1, -1, -1):
        inside = mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = np.where(inside, delta + gamma * lam * running, running)
        next_value = np.where(inside, values[:, t], next_value)
        result[:, t] = np.where(inside, running, 0.0)
    return result
