"""What a way of making rubrics gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class RubricResult:
    """A rubric, and how it came about.

    Attributes:
        criteria: Criteria for every prompt, as the file holds them.
        prompts: Criteria for single prompts: prompt and criteria.
        told: Of each criterion what is known of it, for the reader; in the order of ``criteria``.
        dropped: What was proposed and left out, by reason.
        facts: Further figures, such as an agreement.
        better: Whether it is to be used; False where a check says that it is worse than what it replaces.
    """

    criteria: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)
    better: bool = True


def criteria_of(texts: Sequence[str], prefix: str = "rule") -> list[dict[str, Any]]:
    """Criteria of equal weight."""
    return [{"id": f"{prefix}_{number}", "text": text} for number, text in enumerate(texts, 1)]
