"""Outcome advantages with a reference of their own: OPO, GPG, pass@k, REINFORCE++-baseline, GiGPO."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.credit import similar_states
from trainer_client.signals.normalise import (
    Singleton,
    batch_sum,
    best_minus_second,
    group_normalise,
    length_weighted_baseline,
    pass_at_k,
    standardise,
)

_VERL = "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd"
_NAMED = ("rewards", "groups")
_LONG = ("rewards", "groups", "lengths|mask")
_BASE = ("base",)


@register(
    "opo",
    room="advantage",
    needs="group",
    inputs=_LONG,
    certainty="code",
    source=f"OPO (arXiv 2505.23585); {_VERL}",
    formula="A_i = r_i - sum(len * r) / sum(len)",
    papers=_BASE,
)
def opo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """OPO: rewards relative to the length-weighted mean of the group."""
    valid, groups = batch.taken()
    rewards, lengths = batch.rewards[valid], batch.lengths[valid].astype(np.float64)
    # Relative to the plain mean first: a constant group is then exactly 0, and large rewards lose no digits.
    centred = group_normalise(rewards, groups, scale="none", singleton=singleton)
    shifted = centred - length_weighted_baseline(centred, lengths, groups)
    single = groups.spread(groups.sizes) == 1
    return batch.signal(advantages=batch.scatter(np.where(single, centred, shifted)))


@register(
    "gpg",
    room="advantage",
    needs="batch",
    inputs=_NAMED,
    certainty="code",
    source=f"GPG (arXiv 2504.02546), AMAP-ML/GPG @e096da8c (informative_groups); {_VERL} (nonzero_scores)",
    formula="A_i = alpha * (r_i - mean) / f_norm",
    papers=_BASE,
    reducible=True,
)
def gpg(
    batch: SignalBatch,
    *,
    alpha_mode: Literal["informative_groups", "nonzero_scores"] = "informative_groups",
    f_norm: float = 1.0,
    singleton: Singleton = "zero",
) -> Signal:
    """GPG: mean-centred rewards, scaled up by how few of the batch's groups carry a signal.

    ``informative_groups``: alpha is the number of groups over that of groups whose rewards differ (the authors'
    rule). ``nonzero_scores``: rollouts over rollouts with a nonzero reward (verl's).
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    if alpha_mode == "informative_groups":
        counted = np.array([len(groups), float((groups.deviation(rewards) > 0).sum())])
    else:
        counted = np.array([rewards.size, float(np.count_nonzero(rewards))])
    every, useful = batch_sum(counted, batch.reduce)
    centred = group_normalise(rewards, groups, scale="none", singleton=singleton)
    alpha = float(every / max(useful, 1.0))
    return batch.signal(advantages=batch.scatter(alpha * centred / f_norm), report={"gpg/alpha": alpha})


@register(
    "pass_at_k",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source="Pass@k training (arXiv 2508.10751); RUCAIBox/Passk_Training code/passk_adv.py @c3ba575e",
    formula="rho = 1 - C(n-c,k)/C(n,k); right: (1-rho)/(sigma+eps); "
    "wrong: (1-rho-C(n-c-1,k-1)/C(n-1,k-1))/(sigma+eps); sigma = sqrt(rho*(1-rho))",
    papers=_BASE,
)
def pass_at_k_training(batch: SignalBatch, *, k: int = 4, eps: float = 1e-6) -> Signal:
    """Pass@k training, analytic form: raises the chance of one success among k; rewards are 0 or 1."""
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(pass_at_k(batch.rewards[valid], groups, k, eps)))


@register(
    "pass_at_k_best",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"arXiv 2503.19595; {_VERL} compute_grpo_passk_outcome_advantage",
    formula="best row: (r_max - r_second) / (std + eps); others 0",
    papers=_BASE,
)
def pass_at_k_best(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """Pass@k by best minus second: only the best rollout of a group is rewarded, by its lead."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    lead = best_minus_second(rewards, groups)
    if scale == "group":
        spread = groups.deviation(rewards, 1) + eps
        lead = groups.apply(np.divide, lead, np.where(spread > 0, spread, 1.0))
    return batch.signal(advantages=batch.scatter(lead))


@register(
    "reinforce_plus_plus_baseline",
    room="advantage",
    needs="batch",
    inputs=_LONG,
    certainty="code",
    source=f"REINFORCE++ (arXiv 2501.03262); {_VERL}",
    formula="c_i = r_i - mean of the group; A_i = (c_i - mean over tokens) / sqrt(var over tokens + eps)",
    papers=_BASE,
    reducible=True,
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
    room="advantage",
    needs="batch",
    inputs=_LONG,
    certainty="code",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="c_i = r_i - mean of the group; A_i = (c_i - mean over tokens) / sqrt(max(var over tokens, floor))",
    papers=_BASE,
    reducible=True,
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
    "gigpo",
    room="credit",
    needs="group",
    inputs=("rewards", "groups", "trajectories", "anchors", "step_returns"),
    certainty="code",
    source="GiGPO (arXiv 2505.10978) section 3; langfengQ/DrMAS verl/trainer/ppo/core_algos.py @19c632bc",
    formula="A = (R - mean over trajectories of the prompt) + w * (G - mean over steps from the same state)",
    papers=_BASE,
)
def gigpo(
    batch: SignalBatch,
    *,
    weight: float = 1.0,
    scale: Literal["group", "none"] = "none",
    eps: float = 1e-6,
    similarity: float = 1.0,
    singleton: Singleton = "zero",
) -> Signal:
    """GiGPO: an episode's advantage among its prompt's, plus a step's among steps taken in the same state.

    Rows are steps; ``rewards`` repeats the episode's reward on each. Below ``similarity`` 1, text states that
    are alike count as the same.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    spread: Literal["std", "none"] = "std" if scale == "group" else "none"
    episodes = groups.cross(batch.ids("trajectories").take(valid))
    uneven = episodes.max(rewards) > episodes.min(rewards)
    if uneven.any():
        row = int(np.flatnonzero(valid)[episodes.first(np.arange(rewards.size))[np.argmax(uneven)]])
        raise BadInput(
            f"rewards: steps of one trajectory (that of row {row}) hold different rewards; give each the episode's"
        )
    episode_groups = groups.index[episodes.order[episodes.starts]]
    episode = group_normalise(episodes.first(rewards), episode_groups, scale=spread, eps=eps, singleton=singleton)
    states = similar_states(batch.ids("anchors").take(valid), groups, similarity)
    step = group_normalise(batch["step_returns"][valid], states, scale=spread, eps=eps)
    return batch.signal(advantages=batch.scatter(episodes.spread(episode) + weight * step))
