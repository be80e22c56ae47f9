"""One advantage per token: REINFORCE++, ReMax, GAE, the optimal token baseline."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.credit import discounted_returns, generalised_advantages, optimal_token_baseline
from trainer_client.signals.normalise import group_normalise, standardise

_VERL = "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd"
_BASE = ("base",)
_TOKENS = ("rewards|token_rewards", "lengths|mask")


@register(
    "reinforce_plus_plus",
    room="credit",
    needs="batch",
    inputs=_TOKENS,
    certainty="code",
    source=f"REINFORCE++ (arXiv 2501.03262); {_VERL}",
    formula="G_t = r_t + gamma * G_{t+1}; A_t = (G_t - mean over tokens) / sqrt(var over tokens + eps)",
    papers=_BASE,
    reducible=True,
)
def reinforce_plus_plus(batch: SignalBatch, *, gamma: float = 1.0, eps: float = 1e-8) -> Signal:
    """REINFORCE++: discounted returns, whitened over all tokens of the batch; no groups."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    whitened = standardise(returns, mask, eps=eps, stabiliser="variance", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=returns)


@register(
    "reinforce_plus_plus_openrlhf",
    room="credit",
    needs="batch",
    inputs=_TOKENS,
    certainty="code",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="G_t = r_t + gamma * G_{t+1}; A_t = (G_t - mean over tokens) / sqrt(max(var over tokens, floor))",
    papers=_BASE,
    reducible=True,
)
def reinforce_plus_plus_openrlhf(batch: SignalBatch, *, gamma: float = 1.0, floor: float = 1e-8) -> Signal:
    """REINFORCE++ as OpenRLHF computes it: population variance, held above a floor."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    whitened = standardise(returns, mask, ddof=0, eps=floor, stabiliser="floor", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=returns)


@register(
    "release/reinforce_plus_plus",
    room="credit",
    needs="batch",
    inputs=_TOKENS,
    certainty="code",
    source=f"{_VERL} compute_reinforce_plus_plus_outcome_advantage",
    formula="as reinforce_plus_plus, with mean = sum / (n + 1e-8), and returns cut at masked tokens",
    papers=_BASE,
)
def release_reinforce_plus_plus(batch: SignalBatch, *, gamma: float = 1.0, eps: float = 1e-8) -> Signal:
    """REINFORCE++ of verl's release: tokens before a tool's output never see the reward that comes after it.

    Its mean, divided by ``n + 1e-8``, also gives equal returns a small advantage.
    """
    mask = batch.mask & batch.valid[:, None]
    rewards = batch.token_rewards
    returns, running = np.zeros(mask.shape), np.zeros(batch.rows)
    for t in range(mask.shape[1] - 1, -1, -1):
        running = rewards[:, t] + gamma * running
        returns[:, t] = running
        running = running * mask[:, t]
    whitened = _released_whitening(returns, mask.astype(np.float64), eps)
    return batch.signal(token_advantages=np.where(mask, whitened, 0.0), returns=returns)


@register(
    "release/reinforce_plus_plus_baseline",
    room="advantage",
    needs="batch",
    inputs=("rewards", "groups", "lengths|mask"),
    certainty="code",
    source=f"{_VERL} compute_reinforce_plus_plus_baseline_outcome_advantage",
    formula="as reinforce_plus_plus_baseline, with mean = sum / (n + 1e-8); a group of one keeps its reward",
    papers=_BASE,
)
def release_reinforce_plus_plus_baseline(batch: SignalBatch, *, eps: float = 1e-8) -> Signal:
    """REINFORCE++-baseline of verl's release, whose mean gives groups of one and equal rewards a small advantage."""
    centred = group_normalise(batch.rewards, batch.groups, batch.valid, scale="none", singleton="raw")
    often = np.where(batch.valid, batch.lengths, 0).astype(np.float64)
    return batch.signal(advantages=_released_whitening(centred, often, eps))


def _released_whitening(values: FloatArray, often: FloatArray, eps: float) -> FloatArray:
    """Verl's ``masked_whiten``: both divisors are ``n + 1e-8``, which shifts the mean by a hair."""
    n = float(often.sum())
    mean = float((often * values).sum()) / (n + 1e-8)
    variance = float((often * (values - mean) ** 2).sum()) / (n + 1e-8) * n / max(n - 1.0, 1.0)
    whitened: FloatArray = (values - mean) / np.sqrt(variance + eps)
    return whitened


@register(
    "release/reinforce_plus_plus_openrlhf",
    room="credit",
    needs="batch",
    inputs=_TOKENS,
    certainty="code",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="as reinforce_plus_plus_openrlhf, with the statistics in single precision",
    papers=_BASE,
)
def release_reinforce_plus_plus_openrlhf(batch: SignalBatch, *, gamma: float = 1.0, floor: float = 1e-8) -> Signal:
    """REINFORCE++ of OpenRLHF's release, whose rounded mean gives equal returns a small advantage."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    taken = returns[mask].astype(np.float32)
    mean = np.add.accumulate(taken)[-1] / np.float32(taken.size) if taken.size else np.float32(0)
    variance = max(float(((taken - mean) ** 2).mean()) if taken.size else 0.0, floor)
    whitened = np.where(mask, (returns - float(mean)) / variance**0.5, 0.0)
    return batch.signal(token_advantages=whitened, returns=returns)


@register(
    "remax",
    room="credit",
    needs="row",
    inputs=(*_TOKENS, "baselines"),
    certainty="code",
    source=f"ReMax (arXiv 2310.10505); {_VERL}",
    formula="A_t = sum_{u >= t} r_u - b, b the reward of the greedy answer to the same prompt",
    papers=_BASE,
)
def remax(batch: SignalBatch) -> Signal:
    """ReMax: the return from each token on, against the reward of the greedy answer."""
    mask = batch.mask
    rewards = batch.token_rewards
    returns = rewards[:, ::-1].cumsum(1)[:, ::-1]
    return batch.signal(
        token_advantages=np.where(mask, returns - batch["baselines"][:, None], 0.0),
        returns=np.where(mask, returns, 0.0),
    )


@register(
    "gae",
    room="credit",
    needs="batch",
    inputs=(*_TOKENS, "values"),
    certainty="code",
    source=f"GAE (arXiv 1506.02438); {_VERL}",
    formula="delta_t = r_t + gamma * V_{t+1} - V_t; A_t = delta_t + gamma * lam * A_{t+1}; whitened over tokens",
    papers=_BASE,
    reducible=True,
)
def gae(batch: SignalBatch, *, gamma: float = 1.0, lam: float = 1.0, eps: float = 1e-8) -> Signal:
    """GAE of PPO: exponentially weighted critic errors, whitened over all tokens of the batch."""
    mask = batch.mask & batch.valid[:, None]
    raw = generalised_advantages(batch.token_rewards, batch["values"], mask, gamma=gamma, lam=lam)
    whitened = standardise(raw, mask, eps=eps, stabiliser="variance", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=np.where(mask, raw + batch["values"], 0.0))


@register(
    "optimal_token_baseline",
    room="credit",
    needs="group",
    inputs=(*_TOKENS, "groups", "old_logprobs", "sum_pi_squared"),
    certainty="code",
    source=f"{_VERL} (one-turn and multi-turn form)",
    formula="B_t = sum(G_t * W_t) / (sum W_t + eps) over the group; W_t = sum_{u <= t} 1 - 2*pi_u + sum pi^2",
    papers=_BASE,
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
