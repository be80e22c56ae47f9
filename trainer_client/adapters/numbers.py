"""Numbers for a trainer's logs: the same keys for every rollout, whatever became of it and in whichever process.

Trainers take the keys of the first row for all, and merge rows of many workers. So the parts of verdicts that are
told are those that a verifier declares; what a verdict names by itself, such as a criterion of one prompt's rubric, is
told where a reward of the recipe reads it (``aspect``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from trainer_client import Recipe, VerifierInfo

Parts: TypeAlias = Mapping[str, tuple[str, ...]]
"""Names of the parts of verdicts that are told, by reward."""
Aspects: TypeAlias = Mapping[str, Mapping[str, float | None]]
"""Parts of a rollout's verdicts, by reward."""

_GATES = ("score/", "aspect/")


def parts_of(recipe: Recipe, described: Mapping[str, VerifierInfo]) -> Parts:
    """The parts that are told: those that each reward's verifier declares, once where rewards share a verdict.

    Args:
        recipe: what is asked; one without ``details`` gets no parts.
        described: what the servers say of each reward's verifier.
    """
    if not recipe.details:
        return {}
    return {
        reward.name: described[reward.name].id.aspects
        for column, reward in enumerate(recipe.rewards)
        if column not in recipe.read_columns
    }


def score_key(reward: str) -> str:
    """What a trainer's logs call the score of a reward."""
    return f"score/{reward}"


def part_key(reward: str, part: str) -> str:
    """What they call a part of its verdict."""
    return f"aspect/{reward}.{part}"


def numbers_of(valid: bool, scores: Mapping[str, float | None], aspects: Aspects, parts: Parts) -> dict[str, float]:
    """One rollout in numbers.

    A score that is missing is 0.0 in ``score/NAME``, and 0.0 in ``valid/NAME`` says so; a part of a verdict is
    ``aspect/NAME.PART`` and ``valid/NAME.PART``.

    Args:
        valid: whether it has a reward.
        scores: by reward; None where there is none.
        aspects: parts of its verdicts.
        parts: which of them are told.
    """
    numbers = {"valid": float(valid)}
    for name, score in scores.items():
        numbers[score_key(name)] = 0.0 if score is None else score
        numbers[f"valid/{name}"] = float(score is not None)
    for name, names in parts.items():
        for part in names:
            value = aspects.get(name, {}).get(part)
            numbers[part_key(name, part)] = 0.0 if value is None else value
            numbers[f"valid/{name}.{part}"] = float(value is not None)
    return numbers


def means_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of rows of `numbers_of`: of scores and parts over the rows that have them, 0.0 where none does.

    Args:
        rows: rows with the same keys.
    """
    means = {}
    for name in rows[0] if rows else ():
        gate = next((f"valid/{name.removeprefix(gate)}" for gate in _GATES if name.startswith(gate)), "")
        values = [row[name] for row in rows if not gate or row[gate]]
        means[name] = sum(values) / len(values) if values else 0.0
    return means
