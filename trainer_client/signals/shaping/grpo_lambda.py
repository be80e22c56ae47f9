"""Stable Reinforcement Learning for Efficient Reasoning (GRPO-lambda).

GRPO-lambda (arXiv 2505.18086), abstract and a public summary; penalty and constants are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Laws,
    Needs,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("grpo-lambda", __doc__, provenance="abstract")


def _gate_needs(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["gate"] == "share" else "group"


@register(
    "grpo_lambda",
    paper=PAPER,
    needs=_gate_needs,
    inputs=("rewards", "groups", "lengths|mask"),
    formula="leading groups: right rows 1 - alpha * sigmoid((len - mean) / std over right rows); other groups: 0 or 1",
    laws=Laws(rewards="binary", options={"gate": "threshold", "threshold": 0.5}),
)
def grpo_lambda(
    batch: SignalBatch,
    *,
    share: float = 0.2,
    alpha: float = 0.2,
    gate: Literal["share", "threshold"] = "share",
    threshold: float = 0.8,
    correct: float = 1.0,
) -> Signal:
    """GRPO-lambda: only the groups that solve their prompt best are asked to be short.

    ``share``: the top share of the batch's groups by accuracy; ``threshold``: every group that reaches it, which
    needs no other group. A group that solved nothing is never asked.
    """
    valid, groups = batch.taken()
    right = batch.rewards[valid] >= correct
    accuracy = groups.sum(right) / np.maximum(groups.sizes, 1)
    gated = leading_groups(accuracy, share) if gate == "share" else (accuracy >= threshold) & (accuracy > 0)
    short = relative_length_reward(right, batch.lengths[valid].astype(np.float64), groups, alpha=alpha)
    rewards = np.where(groups.spread(gated), short, right.astype(np.float64))
    reached = float(gated.mean()) if gated.size else 0.0
    return batch.signal(rewards=batch.scatter(rewards), report={"grpo_lambda/gated": reached})


def leading_groups(accuracy: FloatArray, share: float) -> BoolArray:
    """``[Q]`` the ``ceil(share * Q)`` groups of highest accuracy, ties in order; one that solved nothing never leads.

    Raises:
        OptionError: ``share`` is outside [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise OptionError(f"share: {share} must lie in [0, 1]")
    # The small number keeps ceil(0.2 * 5) at 1 although 0.2 * 5 may round up.
    number = int(np.ceil(share * accuracy.size - 1e-9))
    chosen = np.zeros(accuracy.size, np.bool_)
    chosen[np.argsort(-accuracy, kind="stable")[:number]] = True
    return chosen & (accuracy > 0)


def relative_length_reward(
    correct: BoolArray, lengths: FloatArray, groups: Groups, *, alpha: float = 0.2
) -> FloatArray:
    """``[N]``: wrong rows 0, right ones ``1 - alpha * sigmoid(z)``.

    ``z`` is the row's length against the mean and population deviation of the lengths of its group's right rows;
    one right row, or equal lengths, have ``z`` 0 and earn ``1 - alpha / 2``.
    """
    right = correct.astype(np.float64)
    number = np.maximum(groups.sum(right), 1.0)
    # Relative to the longest: equal lengths then leave no rounding behind.
    longest = groups.max(np.where(correct, lengths, -np.inf))
    shifted = np.where(correct, groups.apply(np.subtract, lengths, longest), 0.0)
    centred = np.where(correct, groups.apply(np.subtract, shifted, groups.sum(shifted) / number), 0.0)
    deviation = np.sqrt(groups.sum(centred * centred) / number)
    z = groups.apply(np.divide, centred, np.where(deviation > 0, deviation, 1.0))
    return np.where(correct, 1.0 - alpha / (1.0 + np.exp(-z)), 0.0)
