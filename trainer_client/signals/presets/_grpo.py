"""GRPO in the conventions of its implementations, Dr. GRPO and RLOO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import MissingInput
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import Singleton, group_normalise, standardise

_VERL = "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd"
_OPENRLHF = "OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623"
_NAMED = ("rewards", "groups")
_BASE = ("base",)
_GRPO = "A_i = (r_i - mean) / (std + eps)"

GroupScale = Literal["group", "batch", "none"]


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" else "group"


def _needs_by_normalise(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["normalise"] else "group"


def _scaled(batch: SignalBatch, scale: GroupScale, ddof: int, eps: float, singleton: Singleton) -> Signal:
    advantages = group_normalise(
        batch.rewards,
        batch.groups,
        batch.valid,
        scale="std" if scale == "group" else scale,
        ddof=ddof,
        eps=eps,
        singleton=singleton,
        reduce=batch.reduce,
    )
    return batch.signal(advantages=advantages)


@register(
    "grpo",
    room="advantage",
    needs=_needs_by_scale,
    inputs=_NAMED,
    certainty="code",
    source="DeepSeekMath (arXiv 2402.03300) section 4.1; ddof and eps, which it does not name, as in verl",
    formula=_GRPO,
    papers=_BASE,
    reducible=True,
)
def grpo(
    batch: SignalBatch,
    *,
    scale: GroupScale = "group",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """GRPO: rewards relative to the group's mean, over its standard deviation."""
    return _scaled(batch, scale, ddof, eps, singleton)


@register(
    "grpo_trl",
    room="advantage",
    needs=_needs_by_scale,
    inputs=_NAMED,
    certainty="code",
    source="huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771",
    formula=_GRPO + "; scale: std of the group, of the batch, or none",
    papers=_BASE,
    reducible=True,
)
def grpo_trl(batch: SignalBatch, *, scale: GroupScale = "group", eps: float = 1e-4) -> Signal:
    """GRPO as TRL computes it: eps 1e-4; a group with one scored rollout gives 0."""
    return _scaled(batch, scale, 1, eps, "zero")


@register(
    "grpo_verl",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"{_VERL} compute_grpo_outcome_advantage",
    formula=_GRPO + "; a group of one: r / (1 + eps)",
    papers=_BASE,
)
def grpo_verl(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """GRPO as verl computes it: eps 1e-6; a group of one keeps its reward."""
    return _scaled(batch, scale, 1, eps, "raw")


@register(
    "release/grpo_verl_vectorized",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"{_VERL} compute_grpo_vectorized_outcome_advantage",
    formula="A_i = (r_i - mean) / (sqrt(max(var, 1e-6)) + eps)",
    papers=_BASE,
)
def release_grpo_verl_vectorized(
    batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6
) -> Signal:
    """GRPO of verl's vectorised path, which floors the variance and so damps groups that hardly differ."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    single = groups.spread(groups.sizes) == 1
    centred = group_normalise(rewards, groups, scale="none", singleton="raw")
    if scale == "none":
        return batch.signal(advantages=batch.scatter(centred))
    deviation = np.sqrt(np.maximum(groups.deviation(rewards, 1) ** 2, 1e-6))
    return batch.signal(advantages=batch.scatter(centred / (np.where(single, 1.0, groups.spread(deviation)) + eps)))


@register(
    "grpo_openrlhf",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=_OPENRLHF,
    formula=_GRPO,
    papers=_BASE,
)
def grpo_openrlhf(batch: SignalBatch, *, eps: float = 1e-9) -> Signal:
    """GRPO as OpenRLHF's group_norm computes it: eps 1e-9; a group of one gives 0."""
    return _scaled(batch, "group", 1, eps, "zero")


@register(
    "release/grpo_openrlhf",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=_OPENRLHF,
    formula=_GRPO + "; a group of one: NaN",
    papers=_BASE,
)
def release_grpo_openrlhf(batch: SignalBatch, *, eps: float = 1e-9) -> Signal:
    """GRPO of OpenRLHF's release, where a group of one divides by a deviation of NaN."""
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, eps=eps)
    single = batch.groups.spread(batch.groups.sum(batch.valid)) == 1
    return batch.signal(advantages=np.where(single, np.nan, advantages))


@register(
    "grpo_slime",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source="THUDM/CaRR slime/slime/ray/rollout.py @c97e7e89",
    formula=_GRPO + "; std of the centred rewards; not divided in a group of one",
    papers=_BASE,
)
def grpo_slime(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """GRPO as slime computes it: centre first, then divide by the deviation of what is centred."""
    return _scaled(batch, scale, 1, eps, "zero")


@register(
    "grpo_dance",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source="CodeGoat24/Pref-GRPO fastvideo/rewards/dispatcher.py @3e787f6d (the DanceGRPO code family)",
    formula=_GRPO,
    papers=_BASE,
)
def grpo_dance(batch: SignalBatch, *, eps: float = 1e-8) -> Signal:
    """GRPO as DanceGRPO computes it: eps 1e-8; a group of one gives 0 (NaN in the release)."""
    return _scaled(batch, "group", 1, eps, "zero")


@register(
    "dr_grpo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"Dr. GRPO (arXiv 2503.20783) section 3.2; {_VERL}",
    formula="A_i = r_i - mean",
    papers=_BASE,
)
def dr_grpo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """Dr. GRPO: rewards relative to the group's mean, not divided (its loss divides by a constant length)."""
    return _scaled(batch, "none", 1, 0.0, singleton)


@register(
    "rloo",
    room="advantage",
    needs=_needs_by_normalise,
    inputs=_NAMED,
    optional=("old_logprobs", "ref_logprobs"),
    certainty="code",
    source="RLOO (arXiv 2402.14740) section 3.2; huggingface/trl trl/trainer/rloo_trainer.py @f2cd5771",
    formula="A_i = r_i - mean of the other members = n / (n - 1) * (r_i - mean)",
    papers=_BASE,
    reducible=True,
)
def rloo(
    batch: SignalBatch,
    *,
    clip: tuple[float, ...] = (),
    kl_coefficient: float = 0.0,
    normalise: bool = False,
    eps: float = 1e-4,
    singleton: Singleton = "zero",
) -> Signal:
    """RLOO: each reward against the mean of the other members of its group.

    TRL's options, in its order: rewards are held within ``clip`` (low, high), the sequence KL
    ``kl_coefficient * sum_t(logp_old - logp_ref)`` is subtracted, and with ``normalise`` the advantages are
    standardised over the batch.
    """
    rewards = batch.rewards
    if clip:
        rewards = np.clip(rewards, clip[0], clip[-1])
    if kl_coefficient:
        if "old_logprobs" not in batch or "ref_logprobs" not in batch:
            raise MissingInput("rloo: kl_coefficient needs old_logprobs and ref_logprobs; pass both to SignalBatch")
        gap = np.where(batch.mask, batch["old_logprobs"] - batch["ref_logprobs"], 0.0)
        rewards = rewards - kl_coefficient * gap.sum(1)
    advantages = group_normalise(
        rewards, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton=singleton
    )
    if normalise:
        advantages = standardise(advantages, batch.valid, eps=eps, reduce=batch.reduce)
    return batch.signal(advantages=advantages)
