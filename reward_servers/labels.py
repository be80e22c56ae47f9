"""Labels of rollouts, and how a score compares with one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_client import Rollout

_SHOWN = 100
"""Characters of a label that is none."""
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
        unnamed: Whether some of them are of ``expected.score``, which names no reward.
    """

    scores: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unnamed: bool = False

    def take(self, rollout_id: str, key: str, value: object) -> None:
        """Take a rollout's label; null is none, and what is no number is a problem."""
        if value is None:
            return
        # JSON has whole numbers that no float holds.
        if isinstance(value, int | float) and abs(value) <= sys.float_info.max:
            self.scores[rollout_id] = float(value)
        else:
            text = repr(value)
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            self.problems.append(f"rollout {rollout_id!r}: expected.{key}: {shown} is not a finite number or null")


def labels_of_rewards(
    rollouts: Iterable[Rollout], reward_names: Mapping[str, Sequence[str]], labelled: str | None = None
) -> dict[str, Labels]:
    """Read the labels of each reward of a recipe.

    ``expected.scores`` of a rollout gives a label to each reward that it names. ``expected.score`` is the label of one
    reward: of ``labelled``, or else of the first that is asked of the rollout and has none under its own name.

    Args:
        rollouts: The rollouts.
        reward_names: Names of the rewards that are asked of a rollout, in the recipe's order, by its id.
        labelled: The reward that ``expected.score`` is a label of; None for the first.

    Returns:
        The labels by reward, of those that have any or whose labels have problems.
    """
    by_reward: dict[str, Labels] = {}
    for rollout in rollouts:
        expected = rollout.expected or {}
        names = reward_names.get(rollout.rollout_id, ())
        scores = expected.get("scores")
        labels_by_name = dict(scores) if isinstance(scores, Mapping) else {}
        if scores is not None and not isinstance(scores, Mapping):
            problem = f"rollout {rollout.rollout_id!r}: expected.scores: expected an object such as {{'math': 1.0}}"
            by_reward.setdefault(labelled or (names[0] if names else ""), Labels()).problems.append(problem)
        if expected.get("score") is not None and (names or labelled):
            labels_by_name.setdefault(labelled or names[0], expected["score"])
        for name, value in labels_by_name.items():
            labels = by_reward.setdefault(name, Labels())
            implied = not isinstance(scores, Mapping) or name not in scores
            labels.unnamed |= implied
            labels.take(rollout.rollout_id, "score" if implied else f"scores.{name}", value)
    return by_reward


def read_labels(rollouts: Iterable[Rollout]) -> Labels:
    """Read ``expected.score`` of each rollout. A null or missing one is no label."""
    labels = Labels()
    for rollout in rollouts:
        labels.take(rollout.rollout_id, "score", (rollout.expected or {}).get("score"))
    return labels


def compare(score: float | None, label: float, tolerance: float = TOLERANCE) -> Match:
    """Compare a score with its label.

    Args:
        score: The score; None where there is none.
        label: 0 and 1 stand for wrong and right, and agree with a score on their side of 0.5. Any other label is a
            score itself and agrees within ``tolerance``.
        tolerance: How far a score may be from a label other than 0 and 1.

    Returns:
        Agreement, or the side on which the score is wrong.
    """
    if score is None:
        return Match.UNSCORED
    if label in (0.0, 1.0):
        if (score > 0.5) == (label > 0.5):
            return Match.AGREE
    elif abs(score - label) <= tolerance:
        return Match.AGREE
    return Match.FALSE_POSITIVE if score > label else Match.FALSE_NEGATIVE
