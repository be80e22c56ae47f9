"""Returns and advantages by walking back over the tokens of each row."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray


def discounted_returns(token_rewards: FloatArray, mask: BoolArray, gamma: float = 1.0) -> FloatArray:
    """``[N, T]``: ``G_t = r_t + gamma * G_{t+1}`` over generated tokens, 0 elsewhere.

    A masked token passes the return on as it is: what a tool wrote neither earns nor delays a reward.
    """
    rewards, inside = by_position(token_rewards), by_position(mask)
    returns = np.zeros(rewards.shape)
    running = np.zeros(token_rewards.shape[0])
    for t in range(len(rewards) - 1, -1, -1):
        running = np.where(inside[t], rewards[t] + gamma * running, running)
        returns[t] = np.where(inside[t], running, 0.0)
    return by_position(returns)


def generalised_advantages(
    token_rewards: FloatArray,
    values: FloatArray,
    mask: BoolArray,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    final_values: FloatArray | None = None,
) -> FloatArray:
    """``[N, T]``: GAE, ``A_t = delta_t + gamma * lam * A_{t+1}``, ``delta_t = r_t + gamma * V_{t+1} - V_t``.

    On a masked token the next value and advantage are carried through, so that a tool's output does not decay
    credit. Entries outside the mask hold what is carried; callers compare masked-in entries only.

    Args:
        token_rewards: ``[N, T]``.
        values: ``[N, T]``.
        mask: ``[N, T]`` generated tokens.
        gamma: discount.
        lam: decay of later errors.
        final_values: ``[N]`` value after the last token; 0 when None.

    Source: arXiv 1506.02438; the masking as in verl verl/trainer/ppo/core_algos.py @b178a3cd.
    """
    rewards, value, inside = by_position(token_rewards), by_position(values), by_position(mask)
    result = np.zeros(value.shape)
    running = np.zeros(values.shape[0])
    next_value = running if final_values is None else final_values
    for t in range(len(value) - 1, -1, -1):
        delta = rewards[t] + gamma * next_value - value[t]
        running = np.where(inside[t], delta + gamma * lam * running, running)
        next_value = np.where(inside[t], value[t], next_value)
        result[t] = running
    return by_position(result)


def by_position(table: AnyArray) -> AnyArray:
    """``[N, T]`` as ``[T, N]`` and back, in the order of memory in which a walk over positions is fast."""
    return np.ascontiguousarray(table.T)
