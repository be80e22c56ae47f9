"""GRPO over rewards that are combined from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._method import Fit
from trainer_client.signals._signal import Signal
from trainer_client.signals.parts.combine import Combined, combine
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.terms import Term


def exactly(*names: str) -> Fit:
    """Arguments of `register` for a method that reads columns of fixed meaning.

    Args:
        names: what each is.
    """

    def fit(options: Mapping[str, Any], number: int) -> str:
        return (
            "" if number == len(names) else f"{number} columns where the method reads {len(names)}: {', '.join(names)}"
        )

    return fit


def one_each(*options: str) -> Fit:
    """The same for a method whose options have one number for each column, if they have any.

    Args:
        options: their names.
    """

    def fit(arguments: Mapping[str, Any], number: int) -> str:
        wrong = [name for name in options if arguments[name] and len(arguments[name]) != number]
        return f"{len(arguments[wrong[0]])} {wrong[0]} for {number} columns; give one for each" if wrong else ""

    return fit


def combined_columns(
    batch: SignalBatch, table: FloatArray, terms: Sequence[Term], eps: float, asked: BoolArray | None = None
) -> Signal:
    """GRPO over a combination in which every term is required that applies and is not behind a closed gate."""
    present = batch.components_given
    combined: Combined = combine(table, present, terms, asked=asked, groups=batch.groups, max_missing=1.0)
    live = combined.valid
    rewards = np.where(live, combined.rewards, 0.0)
    return batch.signal(
        keep=live | ~batch.valid, rewards=rewards, advantages=group_normalise(rewards, batch.groups, live, eps=eps)
    )


def grpo_over(batch: SignalBatch, rewards: FloatArray, eps: float) -> Signal:
    """GRPO of rewards that the method itself has computed."""
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, batch.valid, eps=eps))
