"""GRPO and its relatives: one advantage per rollout from the rewards of its group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import Singleton, group_normalise

_TRL = "huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771"
_VERL = "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd"
_OPENRLHF = "OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623"
_NAMED = ("rewards", "groups")
_GRPO = "A_i = (r_i - mean) / (std + eps)"

GroupScale = Literal["group", "batch", "none"]


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" else "group"


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
    papers=("base",),
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
    "dr_grpo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"Dr. GRPO (arXiv 2503.20783) section 3.2; {_VERL}",
    formula="A_i = r_i - mean",
    papers=("base",),
)
def dr_grpo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """Dr. GRPO: rewards relative to the group's mean, not divided (its loss divides by a constant length)."""
    return _scaled(batch, "none", 1, 0.0, singleton)


@register(
    "rloo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source="RLOO (arXiv 2402.14740) section 3.2; huggingface/trl trl/trainer/rloo_trainer.py @f2cd5771",
    formula="A_i = r_i - mean of the other members = n / (n - 1) * (r_i - mean)",
    papers=("base",),
)
def rloo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """RLOO: each reward against the mean of the other members of its group."""
    advantages = group_normalise(
        batch.rewards, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton=singleton
    )
    return batch.signal(advantages=advantages)
