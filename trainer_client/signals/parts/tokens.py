"""Rows seen token by token: means, ends, returns."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch


def log_ratios(batch: SignalBatch) -> FloatArray:
    """``[N]`` log of policy over reference, summed over generated tokens; 0 for rows that take no part."""
    inside = batch.mask & batch.valid[:, None]
    total: FloatArray = np.where(inside, batch["logprobs"] - batch["ref_logprobs"], 0.0).sum(1)
    return total


def token_ends(mask: BoolArray) -> IntArray:
    """``[N]`` position after each row's last generated token; 0 for a row without any."""
    if not mask.shape[1]:
        return np.zeros(mask.shape[0], np.int64)
    ends: IntArray = np.where(mask.any(1), mask.shape[1] - np.argmax(mask[:, ::-1], axis=1), 0)
    return ends


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
    """``[N, T]`` as ``[T, N]`` and back, in a memory order in which a loop over positions is fast."""
    return np.ascontiguousarray(table.T)


def mean_logprobs(logprobs: FloatArray, mask: BoolArray) -> FloatArray:
    """``[N]`` mean log-probability over each row's generated tokens; 0 for a row without any."""
    total = np.where(mask, logprobs, 0.0).sum(1)
    mean: FloatArray = total / np.maximum(mask.sum(1), 1)
    return mean
