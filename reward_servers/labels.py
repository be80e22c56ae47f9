"""Labels of rollouts, and how a score compares with one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_client import Rollout

TOLERANCE = 1e-6
"""How far a score may be from a label between 0 and 1."""


class Match(StrEnum):
    """How a score compares with its label."""

    AGREE = "agree"
    FALSE_POSITIVE = "false_positive"
    FALSE_NEGATIVE = "false_negative"
    UNSCORED = "unscored"


@dataclass(slots=True)
class Labels:
    """The labels of a file.

    Attributes:
        scores: Label by rollout id.
        problems: Rollouts whose label cannot be used, with the reason.
    """

    scores: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_labels(rollouts: Iterable[Rollout]) -> Labels:
    """Read ``expected.score`` of each rollout. A null or missing one is no label."""
    found = Labels()
    for rollout in rollouts:
        value = (rollout.expected or {}).get("score")
        if value is None:
            continue
        if isinstance(value, int | float) and math.isfinite(value):
            found.scores[rollout.rollout_id] = float(value)
        else:
            found.problems.append(f"rollout {rollout.rollout_id!r}: expected.score: {value!r} is not a number or null")
    return found


def compare(score: float | None, label: float) -> Match:
    """Compare a score with its label.

    Args:
        score: The score; None where there is none.
        label: 0 and 1 stand for wrong and right, and agree with a score on their side of 0.5. Any other label is a
            score itself and agrees within ``TOLERANCE``.

    Returns:
        Agreement, or the side on which the score is wrong.
    """
    if score is None:
        return Match.UNSCORED
    if label in (0.0, 1.0):
        if (score > 0.5) == (label > 0.5):
            return Match.AGREE
    elif abs(score - label) <= TOLERANCE:
        return Match.AGREE
    return Match.FALSE_POSITIVE if score > label else Match.FALSE_NEGATIVE
