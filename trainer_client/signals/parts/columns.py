"""GRPO over rewards that are combined from columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import InputError
from trainer_client.signals._signal import Signal
from trainer_client.signals.parts.combine import Combined, combine
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.terms import Term


def columns(batch: SignalBatch, number: int) -> FloatArray:
    """The components ``[N, K]``, refusing another number of columns than the method reads."""
    components: FloatArray = batch["components"]
    if components.shape[1] != number:
        raise InputError(f"components: {components.shape[1]} columns where the method reads {number}")
    return components


def combined_columns(
    batch: SignalBatch, table: FloatArray, terms: Sequence[Term], eps: float, asked: BoolArray | None = None
) -> Signal:
    """GRPO over a combination in which every term that is asked for and reached is needed."""
    given = batch.components_given
    combined: Combined = combine(table, given, terms, asked=asked, groups=batch.groups, max_missing=1.0)
    live = combined.valid
    rewards = np.where(live, combined.rewards, 0.0)
    return batch.signal(
        keep=live | ~batch.valid, rewards=rewards, advantages=group_normalise(rewards, batch.groups, live, eps=eps)
    )


def grpo_over(batch: SignalBatch, rewards: FloatArray, eps: float) -> Signal:
    """GRPO of rewards that the method made itself."""
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, batch.valid, eps=eps))
