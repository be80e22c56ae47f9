"""Highlights of a video that a response names, each with a grade (TempSamp-R1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field, field_validator

from reward_servers import ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.text import strict_json
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_MOST = 4096


class HighlightsReference(Reference):
    """The right highlights."""

    saliency: dict[str, float] = Field(
        min_length=1, max_length=_MOST, description="Grade of each clip by its name, such as its second; 0 is none."
    )

    @field_validator("saliency")
    @classmethod
    def _check(cls, value: dict[str, float]) -> dict[str, float]:
        if not all(0 <= number < math.inf for number in value.values()):
            raise ValueError("grades are numbers from 0")
        if not any(value.values()):
            raise ValueError("no clip has a grade above 0, so none is a highlight")
        return {name.strip(): number for name, number in value.items()}


class HighlightsOptions(AnswerOptions):
    """Weights of finding clips and of grading them."""

    grades: float = Field(0.5, ge=0, le=1, description="Share of the score for the grades; the rest is for the clips.")


@verifier(
    "highlights",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"f2": 0.0, "precision": 0.0, "recall": 0.0, "wmse": None},
)
def highlights(rollout: Rollout, ref: HighlightsReference, options: HighlightsOptions) -> Score:
    """How well the clips that a response names are the highlights, and its grades theirs: F2, and 1 / (1 + error).

    The answer is a JSON object of clips with grades, such as `{"12": 4, "14": 2.5}`; those at 0 are not named. F2
    counts a highlight that is missed four times as much as a clip that is none. `wmse` is the mean squared error of the
    grades of the highlights, weighted by them; one that is not named has 0. Nothing is paid for grades where no
    highlight is named. Source: TempSamp-R1 (arXiv 2509.18056), whose weights of both are not known.
    """
    text = answer_part(rollout, options)
    right = {name: grade for name, grade in ref.saliency.items() if grade > 0}
    unnamed = {"wmse": _error(right, {})}
    if text is None:
        return replace(nothing_taken(options), aspects=unnamed)
    grades = _graded(text)
    if grades is None:
        note = "the answer is one JSON object of clips with grades from 0"
        return Score(None, "malformed", aspects=unnamed, note=note)
    if not grades:
        return Score(None, "no_answer", aspects=unnamed, note="no clip is named")
    hits = len(grades.keys() & right.keys())
    precision, recall = hits / len(grades), hits / len(right)
    f2 = 5 * precision * recall / (4 * precision + recall) if hits else 0.0
    error = _error(right, grades)
    value = (1 - options.grades) * f2 + options.grades / (1 + error) if hits else 0.0
    aspects = {"f2": f2, "precision": precision, "recall": recall, "wmse": error}
    return Score(min(1.0, value), aspects=aspects)


def _error(right: Mapping[str, float], grades: Mapping[str, float]) -> float:
    """Mean squared error of the grades, weighted by the right ones."""
    total = math.fsum(right.values())
    return min(1e300, math.fsum(grade / total * min(abs(grade - grades.get(name, 0.0)), 1e150) ** 2
                                for name, grade in right.items()))  # fmt: skip


def _graded(text: str) -> dict[str, float] | None:
    """Clips with grades above 0; None if the text is no such object."""
    try:
        value: Any = strict_json(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or len(value) > _MOST:
        return None
    grades: dict[str, float] = {}
    for name, grade in value.items():
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < math.inf:
            return None
        if name.strip() in grades:
            return None
        grades[name.strip()] = float(min(grade, 1e150))
    return {name: grade for name, grade in grades.items() if grade > 0}
