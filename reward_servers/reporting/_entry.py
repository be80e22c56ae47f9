"""One scored rollout, as a row of a scored file or of a record says it. Rows are not trusted: any may be wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_ANSWER_KEYS = ("answer_form", "extracted", "answer", "compared", "choice", "value")


class NotScoredError(ValueError):
    """A row that is no scored rollout; the message says what it lacks."""


class Cell(NamedTuple):
    """One reward of a rollout.

    Attributes:
        kind: ``verdict``, ``fault`` or ``skip``.
        score: The score; None where there is none.
        code: What was found, or why there is no score.
        party: Whose failure a fault is.
        message: What happened, of a fault.
        note: The verifier's remark.
        evidence: What it extracted and compared; None where the row does not say.
        seconds: How long it ran; None where the row does not say.
    """

    kind: str
    score: float | None
    code: str
    party: str = ""
    message: str = ""
    note: str = ""
    evidence: Any = None
    seconds: float | None = None

    @property
    def answer(self) -> str:
        """The answer that was taken from the response; empty where the evidence names none."""
        evidence = self.evidence
        if isinstance(evidence, Mapping):
            for key in _ANSWER_KEYS:
                if isinstance(evidence.get(key), str | int | float):
                    return str(evidence[key])
        return ""

    def span(self, response: str) -> tuple[int, int] | None:
        """Where in a response that was found; None where the evidence does not say, or does not fit the response."""
        evidence = self.evidence
        if not isinstance(evidence, Mapping):
            return None
        place = evidence["extraction"] if isinstance(evidence.get("extraction"), Mapping) else evidence
        span = place.get("span")
        if not (isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)):
            return None
        start, end = span
        if not 0 <= start < end <= len(response):
            return None
        # A span beside no extracted text may be one of seconds, or of pages.
        text = place.get("extracted")
        return (start, end) if place is not evidence or response[start:end] == text else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A scored rollout.

    Attributes:
        rollout_id: Its id.
        group_id: Its prompt's.
        cells: What came of each reward that was asked.
        reward: The reward that the recipe makes of them; None for one that is masked.
        advantage: Its advantage; None without one.
        keep: Whether the recipe's filters keep it.
        prompt: What was asked, as text; None where the row does not have it.
        response: What the policy wrote, as text; None where the row does not have it.
        reference: What it was compared with, as text.
        finish_reason: Why generation ended.
        confidence: How sure the policy said it was, where ``metadata.confidence`` says so.
        labels: Labels by reward; under ``""`` the one that names none.
    """

    rollout_id: str
    group_id: str
    cells: dict[str, Cell]
    reward: float | None = None
    advantage: float | None = None
    keep: bool = True
    prompt: str | None = None
    response: str | None = None
    reference: str = ""
    finish_reason: str = ""
    confidence: float | None = None
    labels: dict[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> bool:
        """Whether a score that was asked for is not there."""
        return any(cell.score is None for cell in self.cells.values())


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Read a row.

    Args:
        row: A line of a scored file; the rollout's own fields stand beside the scores, or under ``rollout``.

    Raises:
        NotScoredError: It has no ``rollout_id`` or no ``scores``.
    """
    rollout = {**row, **_mapping(row.get("rollout"))}
    if not isinstance(row.get("rollout_id"), str) or not isinstance(row.get("scores"), Mapping):
        lacks = "scores" if isinstance(row.get("rollout_id"), str) else "rollout_id"
        raise NotScoredError(f"{lacks}: is missing or of another type; give a file that `assay score` wrote")
    metadata, expected = _mapping(rollout.get("metadata")), _mapping(rollout.get("expected"))
    labels = {"": expected.get("score"), **_mapping(expected.get("scores"))}
    return Entry(
        rollout_id=row["rollout_id"],
        group_id=row["group_id"] if isinstance(row.get("group_id"), str) else row["rollout_id"],
        cells={str(name): _cell(row, str(name)) for name in row["scores"]},
        reward=number(row.get("reward")),
        advantage=number(row.get("advantage")),
        keep=row.get("keep") is not False,
        prompt=None if rollout.get("prompt") is None else as_text(rollout["prompt"]),
        response=None if rollout.get("response") is None else as_text(rollout["response"]),
        reference="" if rollout.get("reference") is None else as_text(rollout["reference"]),
        finish_reason=rollout["finish_reason"] if isinstance(rollout.get("finish_reason"), str) else "",
        confidence=number(metadata.get("confidence")),
        labels={str(name): label for name, value in labels.items() if (label := number(value)) is not None},
    )


def _cell(row: Mapping[str, Any], name: str) -> Cell:
    fault, skips = _mapping(row.get("faults")).get(name), _mapping(row.get("skips"))
    score = number(row["scores"][name])
    fault_fields = _mapping(fault)
    kind = "verdict" if score is not None else "skip" if name in skips else "fault"
    return Cell(
        kind=kind,
        score=score,
        code=_text(_mapping(row.get("codes")).get(name)) or _text(fault_fields.get("code")) or _text(skips.get(name)),
        party=_text(fault_fields.get("party")),
        message=_text(fault_fields.get("message")),
        note=_text(_mapping(row.get("notes")).get(name)),
        evidence=_mapping(row.get("evidence")).get(name),
        seconds=number(_mapping(row.get("run_seconds")).get(name)),
    )


def as_text(content: Any) -> str:
    """The text of a prompt, response or reference: as it is, messages one below the other, anything else as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and content and all(isinstance(m, Mapping) and "role" in m for m in content):
        return "\n\n".join(_message(message) for message in content)
    return json.dumps(content, ensure_ascii=False, default=str)


def _message(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text", _clipped(part)) if isinstance(part, Mapping) else part for part in parts if part]
    further_fields = {key: value for key, value in message.items() if key not in ("role", "content") and value}
    lines = [f"[{message['role']}]", *(text if isinstance(text, str) else _clipped(text) for text in texts)]
    return "\n".join([*lines, *([_clipped(further_fields)] if further_fields else [])])


def _clipped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 2000 else f"{text[:2000]}..."


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool | int | float):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    return None
