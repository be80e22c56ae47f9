"""Baselines that differ from token to token."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def optimal_token_baseline(
    returns: FloatArray,
    logprobs: FloatArray,
    sum_pi_squared: FloatArray,
    mask: BoolArray,
    groups: Groups,
    *,
    eps: float = 1e-8,
    zero_tail: bool = False,
) -> FloatArray:
    """``[N, T]`` baseline ``B_t = sum(G_t * W_t) / (sum W_t + eps)`` over the group at each position.

    ``W_t`` accumulates ``1 - 2 * pi_t + sum pi^2`` along the row: the expected squared norm of the score
    function, so that the baseline minimises the variance of the gradient. Positions are counted over generated
    tokens: the third token that the policy wrote is compared with the siblings' third, whatever tool output lies
    between. A group of one has baseline 0.

    Args:
        returns: ``[N, T]`` return from each token on.
        logprobs: ``[N, T]`` under the sampling policy.
        sum_pi_squared: ``[N, T]`` sum of squared next-token probabilities.
        mask: ``[N, T]`` generated tokens.
        groups: partition of the rows.
        eps: keeps the division defined where nobody has a token.
        zero_tail: baseline 0 where only the longest row is left, which would else be compared with itself.

    Source: volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
    """
    if not mask.size:
        return np.zeros(mask.shape)
    # Generated tokens first, in their order; the group then sums over the k-th generated token of each row.
    packing = np.argsort(~mask, axis=1, kind="stable")
    packed = np.take_along_axis(mask, packing, 1)
    score = np.where(mask, 1.0 - 2.0 * np.exp(logprobs) + sum_pi_squared, 0.0)
    weight = np.where(packed, np.cumsum(np.take_along_axis(score, packing, 1), axis=1), 0.0)
    gain = np.where(packed, np.take_along_axis(returns, packing, 1), 0.0)
    baseline = groups.sum(gain * weight) / (groups.sum(weight) + eps)
    baseline[groups.sizes == 1] = 0.0
    if zero_tail:
        alone = groups.sum(packed) == 1
        baseline[alone] = 0.0
    unpacked = np.zeros(mask.shape)
    np.put_along_axis(unpacked, packing, groups.spread(baseline), 1)
    return unpacked
