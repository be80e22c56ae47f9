"""Returns and advantages by walking back over the tokens of each row."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray


def discounted_returns(token_rewards: FloatArray, mask: BoolArray, gamma: float = 1.0) -> FloatArray:
    """``[N, T]``: ``G_t = r_t + gamma * G_{t+1}`` over generated tokens, 0 elsewhere.

    A masked token passes the return on as it is: what a tool wrote neither earns nor delays a reward.
    """
    returns = np.zeros_like(token_rewards)
    running = np.zeros(token_rewards.shape[0])
    for t in range(token_rewards.shape[1] - 1, -1, -1):
        inside = mask[:, t]
        running = np.where(inside, token_rewards[:, t] + gamma * running, running)
        returns[:, t] = np.where(inside, running, 0.0)
    return returns


def generalised_advantages(
    token_rewards: FloatArray, values: FloatArray, mask: BoolArray, *, gamma: float = 1.0, lam: float = 1.0
) -> FloatArray:
    """``[N, T]``: GAE, ``A_t = delta_t + gamma * lam * A_{t+1}``, ``delta_t = r_t + gamma * V_{t+1} - V_t``.

    On a masked token the next value and advantage are carried through, so that a tool's output does not decay
    credit. Entries outside the mask hold what is carried; callers compare masked-in entries only.

    Source: arXiv 1506.02438; the masking as in verl verl/trainer/ppo/core_algos.py @b178a3cd.
    """
    result = np.zeros_like(values)
    next_value = np.zeros(values.shape[0])
    running = np.zeros(values.shape[0])
    for t in range(values.shape[1] - 1, -1, -1):
        inside = mask[:, t]
        delta = token_rewards[:, t] + gamma * next_value - values[:, t]
        running = np.where(inside, delta + gamma * lam * running, running)
        next_value = np.where(inside, values[:, t], next_value)
        result[:, t] = running
    return result
