"""GRPO in the conventions of its implementations."""

from __future__ import annotations

from typing import Literal

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._signal import Signal
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise

GroupScale = Literal["group", "batch", "none"]


def scaled(batch: SignalBatch, scale: GroupScale, ddof: int, eps: float, singleton: Singleton) -> Signal:
    """Rewards minus the group's mean, divided by the deviation of the group or the batch, or not divided."""
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
