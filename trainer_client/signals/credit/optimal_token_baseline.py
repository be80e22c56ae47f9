"""The Optimal Token Baseline: Variance Reduction for Long-Horizon LLM-RL (OTB).

volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd (one-turn and multi-turn form).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)

PAPER = Paper("optimal-token-baseline", __doc__, provenance="code")

_SUM_PI_SQUARED = Input(
    "sum_pi_squared", "NT", "float", "sum of squared next-token probabilities at each position", within=(0.0, 1.0)
)


@register(
    "optimal_token_baseline",
    paper=PAPER,
    needs="group",
    inputs=("rewards|token_rewards", "lengths|mask", "groups", "old_logprobs", _SUM_PI_SQUARED),
    formula="B_t = sum(G_t * W_t) / (sum W_t + eps) over the group; W_t = sum_{u <= t} 1 - 2*pi_u + sum pi^2",
    laws=Laws(scale="equivariant"),
)
def optimal_tokens(batch: SignalBatch, *, eps: float = 1e-8, zero_tail: bool = False) -> Signal:
    """Optimal token baseline: returns against the variance-minimising baseline at each position."""
    valid, groups = batch.taken()
    mask = batch.mask[valid]
    rewards = batch.token_rewards[valid]
    returns = np.where(mask, rewards[:, ::-1].cumsum(1)[:, ::-1], 0.0)
    baseline = optimal_token_baseline(
        returns,
        batch["old_logprobs"][valid],
        batch["sum_pi_squared"][valid],
        mask,
        groups,
        eps=eps,
        zero_tail=zero_tail,
    )
    return batch.signal(
        token_advantages=batch.scatter(np.where(mask, returns - baseline, 0.0)), returns=batch.scatter(returns)
    )


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
        eps: keeps the division defined where no row has a token.
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


@golden("optimal_token_baseline", "tir_optimal_token_baseline")
def _(case: Case) -> Any:
    options = {"eps": case.params["epsilon"], "zero_tail": case.params["handle_zero_tail"]}
    tokens: dict[str, Any] = {n: case.array(n) for n in ("old_logprobs", "sum_pi_squared") if n in case.inputs}
    tokens["old_logprobs"] = case.array("old_log_probs")
    if "rewards" in case.inputs:
        batch = case.batch(**tokens)
    else:
        batch = SignalBatch(
            None,
            case.inputs["group"],
            token_rewards=case.array("token_level_rewards"),
            mask=case.inputs["response_mask"],
            **tokens,
        )
    return method("optimal_token_baseline", **options)(batch).token_advantages
