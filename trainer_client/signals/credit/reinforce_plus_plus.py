"""REINFORCE++: Stabilizing Critic-Free Policy Optimization with Global Advantage Normalization.

REINFORCE++ (arXiv 2501.03262); volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise
from trainer_client.signals.parts.standardise import standardise
from trainer_client.signals.parts.tokens import by_position

PAPER = Paper("reinforce-plus-plus", __doc__, provenance="code")


@register(
    "reinforce_plus_plus_baseline",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups", "lengths|mask"),
    formula="c_i = r_i - mean of the group; A_i = (c_i - mean over tokens) / sqrt(var over tokens + eps)",
    reducible=True,
    laws=Laws(shift=True),
)
def reinforce_plus_plus_baseline(batch: SignalBatch, *, eps: float = 1e-8, singleton: Singleton = "zero") -> Signal:
    """REINFORCE++-baseline: group-centred rewards, whitened over all tokens of the batch."""
    centred = group_normalise(batch.rewards, batch.groups, batch.valid, scale="none", singleton=singleton)
    advantages = standardise(
        centred,
        batch.valid,
        weights=batch.lengths.astype(np.float64),
        eps=eps,
        stabiliser="variance",
        reduce=batch.reduce,
    )
    return batch.signal(advantages=advantages)


@register(
    "reinforce_plus_plus_baseline_openrlhf",
    like="reinforce_plus_plus_baseline",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="c_i = r_i - mean of the group; A_i = (c_i - mean over tokens) / sqrt(max(var over tokens, floor))",
    laws=Laws(shift=True),
)
def reinforce_plus_plus_baseline_openrlhf(batch: SignalBatch, *, floor: float = 1e-8) -> Signal:
    """REINFORCE++-baseline as OpenRLHF computes it: population variance, held above a floor."""
    centred = group_normalise(batch.rewards, batch.groups, batch.valid, scale="none")
    advantages = standardise(
        centred,
        batch.valid,
        weights=batch.lengths.astype(np.float64),
        ddof=0,
        eps=floor,
        stabiliser="floor",
        reduce=batch.reduce,
    )
    return batch.signal(advantages=advantages)


@register(
    "reinforce_plus_plus",
    paper=PAPER,
    needs="batch",
    inputs=("rewards|token_rewards", "lengths|mask"),
    formula="G_t = r_t + gamma * G_{t+1}; A_t = (G_t - mean over tokens) / sqrt(var over tokens + eps)",
    reducible=True,
    laws=Laws(shift=True),
)
def reinforce_plus_plus(batch: SignalBatch, *, gamma: float = 1.0, eps: float = 1e-8) -> Signal:
    """REINFORCE++: discounted returns, whitened over all tokens of the batch; no groups."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    whitened = standardise(returns, mask, eps=eps, stabiliser="variance", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=returns)


@register(
    "reinforce_plus_plus_openrlhf",
    like="reinforce_plus_plus",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="G_t = r_t + gamma * G_{t+1}; A_t = (G_t - mean over tokens) / sqrt(max(var over tokens, floor))",
    laws=Laws(shift=True),
)
def reinforce_plus_plus_openrlhf(batch: SignalBatch, *, gamma: float = 1.0, floor: float = 1e-8) -> Signal:
    """REINFORCE++ as OpenRLHF computes it: population variance, held above a floor."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    whitened = standardise(returns, mask, ddof=0, eps=floor, stabiliser="floor", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=returns)


@register(
    "release/reinforce_plus_plus",
    like="reinforce_plus_plus",
    source=(
        "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd compute_reinforce_plus_plus_outcome_advantage, "
        "corrected by @1dda039b"
    ),
    formula="as reinforce_plus_plus, with mean = sum / (n + 1e-8), and returns cut at masked tokens",
    reducible=False,
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
    like="reinforce_plus_plus_baseline",
    source=(
        "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd "
        "compute_reinforce_plus_plus_baseline_outcome_advantage"
    ),
    formula="as reinforce_plus_plus_baseline, with mean = sum / (n + 1e-8); a group of one keeps its reward",
    reducible=False,
)
def release_reinforce_plus_plus_baseline(batch: SignalBatch, *, eps: float = 1e-8) -> Signal:
    """REINFORCE++-baseline of verl's release, whose mean gives groups of one and equal rewards a small advantage."""
    centred = group_normalise(batch.rewards, batch.groups, batch.valid, scale="none", singleton="raw")
    often = np.where(batch.valid, batch.lengths, 0).astype(np.float64)
    return batch.signal(advantages=_released_whitening(centred, often, eps))


@register(
    "release/reinforce_plus_plus_openrlhf",
    like="reinforce_plus_plus_openrlhf",
    formula="as reinforce_plus_plus_openrlhf, with the statistics in single precision",
    reducible=False,
    laws=Laws(permutation=False),
)
def release_reinforce_plus_plus_openrlhf(batch: SignalBatch, *, gamma: float = 1.0, floor: float = 1e-8) -> Signal:
    """REINFORCE++ of OpenRLHF's release, whose rounded mean gives equal returns a small advantage."""
    mask = batch.mask & batch.valid[:, None]
    returns = discounted_returns(batch.token_rewards, mask, gamma)
    flat_returns = returns[mask].astype(np.float32)
    mean = np.add.accumulate(flat_returns)[-1] / np.float32(flat_returns.size) if flat_returns.size else np.float32(0)
    variance = max(float(((flat_returns - mean) ** 2).mean()) if flat_returns.size else 0.0, floor)
    whitened = np.where(mask, (returns - float(mean)) / variance**0.5, 0.0)
    return batch.signal(token_advantages=whitened, returns=returns)


def _released_whitening(values: FloatArray, often: FloatArray, eps: float) -> FloatArray:
    """Verl's ``masked_whiten``: both divisors are ``n + 1e-8``, which shifts the mean by a hair."""
    n = float(often.sum())
    mean = float((often * values).sum()) / (n + 1e-8)
    variance = float((often * (values - mean) ** 2).sum()) / (n + 1e-8) * n / max(n - 1.0, 1.0)
    whitened: FloatArray = (values - mean) / np.sqrt(variance + eps)
    return whitened


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


@golden("reinforce_plus_plus_baseline")
def _(case: Case) -> Any:
    alone = bool((case.batch().groups.sizes == 1).all()) and np.ptp(case.array("rewards")) == 0
    if alone:
        return method("release/reinforce_plus_plus_baseline")(case.batch()).advantages
    return method("reinforce_plus_plus_baseline", singleton="raw")(case.batch()).advantages


@golden("openrlhf_reinforce_baseline", atol=1e-6)  # The source takes its statistics in single precision.
def _(case: Case) -> Any:
    return method("reinforce_plus_plus_baseline_openrlhf")(case.batch()).advantages


@golden("reinforce_plus_plus")
def _(case: Case) -> Any:
    name = case.released("reinforce_plus_plus")
    return method(name, gamma=case.params["gamma"])(case.batch()).token_advantages


@golden("openrlhf_reinforce", atol=1e-6)
def _(case: Case) -> Any:
    """Of equal returns single precision leaves some units of the last place over 1e-4, by the order of the sum."""
    name = case.released("reinforce_plus_plus_openrlhf")
    signal = method(name, gamma=case.params["gamma"])(case.batch())
    assert signal.token_advantages is not None
    assert signal.returns is not None
    advantages, expected = signal.token_advantages[:, 0], np.asarray(case.output, dtype=np.float64)
    units = 32 * np.spacing(np.float32(np.abs(signal.returns).max())) / 1e-4
    equal = case.params["gamma"] == 1.0 and np.ptp(case.array("rewards")) == 0
    return expected if equal and bool((np.abs(advantages - expected) <= units).all()) else advantages
