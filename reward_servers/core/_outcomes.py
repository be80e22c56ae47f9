"""What can become of an item: a verdict, a fault or a skip, and what a verifier returns."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeGuard

LONGEST_CODE = 128
"""Characters of a code, as clients take it: codes are few, short, and end up in logs and metrics."""
_LONGEST_TEXT = 65_536
LONGEST_EVIDENCE = 512 << 10
"""Bytes of evidence, and of feedback, that travel whole: a reply holds those of hundreds of items."""
MOST_ASPECTS, MOST_STEPS = 1024, 32_768
"""Parts of one verdict, and steps of one: about as many bytes as its evidence may have."""
_LONGEST_NAME = 256
"""Characters of the name of an aspect, which is a column wherever scores are logged."""
_NO_ASPECTS: Mapping[str, float | None] = MappingProxyType({})


class Party(Enum):
    """Whose failure a fault is. The candidate's own failures are verdicts and need no party."""

    DATASET = "dataset"
    SERVICE = "service"
    UPSTREAM = "upstream"
    CALLER = "caller"


class SkipReason(Enum):
    """Why an item was not judged on purpose."""

    DEADLINE = "deadline"
    NOT_NEEDED = "not_needed"
    OVERLOADED = "overloaded"


@dataclass(slots=True, frozen=True)
class Step:
    """A score for part of a response.

    Attributes:
        start: First position.
        end: First position after the step.
        score: The score; None when this step could not be judged.
        message: Message of the response, counted from 0.
        unit: What positions count: ``"character"`` or ``"token"``.
    """

    start: int
    end: int
    score: float | None
    message: int = 0
    unit: str = "character"


@dataclass(slots=True)
class Score:
    """A judgement as a verifier returns it.

    Attributes:
        value: The score; None stands for the verifier's declared floor.
        code: What was found; empty for ``accepted``, ``wrong`` or ``partial`` after the value.
        aspects: Named parts of the judgement; None for a part that could not be judged.
        steps: Scores of parts of the response.
        note: One line for a reader. Private, like the evidence.
        evidence: Private: what was extracted and compared. May quote references and hidden tests. JSON-able.
        feedback: What the policy may be shown. Never quotes references or hidden tests. JSON-able.
    """

    value: float | None
    code: str = ""
    aspects: Mapping[str, float | None] = field(default_factory=dict)
    steps: Sequence[Step] = ()
    note: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    feedback: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def floor(cls, code: str, note: str = "", evidence: Mapping[str, Any] | None = None) -> Score:
        """A candidate that gave nothing to judge, or exceeded a bound: the verifier's floor score.

        Args:
            code: Why, such as ``"no_answer"``, ``"malformed"`` or ``"limit"``.
            note: One line for a reader. Private, like the evidence.
            evidence: What was found instead.
        """
        return cls(None, code=code, note=note, evidence=evidence or {})


@dataclass(slots=True)
class Verdict:
    """A judgement, ready to be sent: evidence and feedback are JSON bytes."""

    score: float
    code: str
    aspects: tuple[tuple[str, float | None], ...] = ()
    steps: tuple[Step, ...] = ()
    note: str = ""
    evidence: bytes = b""
    feedback: bytes = b""

    @property
    def plain(self) -> bool:
        """Whether there is nothing but a score and a code."""
        return not (self.aspects or self.steps or self.note or self.evidence or self.feedback)


@dataclass(slots=True)
class Fault:
    """No judgement could be made, and the candidate is not to blame. There is no score."""

    party: Party
    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    evidence: bytes = b""

    def __post_init__(self) -> None:
        """Make sure that it can be sent, whatever a verifier has put into it."""
        self.party = Party(self.party)
        code, self.message = _sendable(str(self.code)), _sendable(str(self.message))
        self.code = code if code and _is_code(code) else "unnamed"
        self.retryable = bool(self.retryable)
        if self.retry_after is not None:
            self.retry_after = float(self.retry_after) if 0 <= self.retry_after < math.inf else None


@dataclass(slots=True)
class Skip:
    """The item was not judged on purpose. There is no score."""

    reason: SkipReason
    retry_after: float | None = None


Outcome = Verdict | Fault | Skip


@dataclass(slots=True)
class Usage:
    """What an item cost.

    Attributes:
        cpu_us: CPU time, in microseconds.
        upstream_calls: Calls of models, those made by verifiers that were asked among them.
        input_tokens: Tokens that models read.
        output_tokens: Tokens that models wrote.
        cost: What the calls cost, in the currency of the operator's prices; 0 without prices.
    """

    cpu_us: int = 0
    upstream_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def is_local(self) -> bool:
        """Whether no model was asked and none read anything."""
        return not (self.upstream_calls or self.input_tokens or self.output_tokens)

    def shares(self, count: int) -> list[Usage]:
        """The same among so many; together they are as much."""
        if count == 1:
            return [self]

        def part(total: int, place: int) -> int:
            return total * (place + 1) // count - total * place // count

        return [
            Usage(
                part(self.cpu_us, place),
                part(self.upstream_calls, place),
                part(self.input_tokens, place),
                part(self.output_tokens, place),
                self.cost / count,
            )
            for place in range(count)
        ]

    def add(self, other: Usage) -> None:
        """Add what another verifier's answer cost."""
        self.cpu_us += other.cpu_us
        self.upstream_calls += other.upstream_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost += other.cost


def encode_evidence(value: Mapping[str, Any] | None) -> bytes:
    """Evidence or feedback as JSON; empty when there is none.

    What has no form in JSON (a key that is no text, a value within itself, one that is nested too deep) is written as
    text, and of what is too long the beginning is, since what is said of a score must not change it.
    """
    if not value:
        return b""
    try:
        text = _EVIDENCE.encode(value)
    except Exception:  # noqa: BLE001 - as below
        text = _EVIDENCE.encode({"text": _as_text(value)})
    if len(text) > LONGEST_EVIDENCE:
        cut = f"{len(text)} characters, of which the first are kept: more than {LONGEST_EVIDENCE} is too long"
        text = _EVIDENCE.encode({"cut": cut, "text": text[:_LONGEST_TEXT]})
    return text.encode("utf-8", "replace")


def _as_text(value: object) -> str:
    try:
        return repr(value)[:_LONGEST_TEXT]
    except Exception as error:  # noqa: BLE001 - objects of a verifier may raise whatever is asked of them
        return f"(cannot be written: {type(error).__name__})"


_EVIDENCE = json.JSONEncoder(ensure_ascii=False, default=str)
"""Made once: `json.dumps` makes one for each value where it is told how to write."""


def default_code(value: float, low: float, high: float) -> str:
    """The code of a verdict whose verifier gave none."""
    if value >= high:
        return "accepted"
    return "wrong" if value <= low else "partial"


def default_codes(values: Sequence[float], low: float, high: float) -> list[str]:
    """The codes of many verdicts: see `default_code`."""
    return ["accepted" if value >= high else "wrong" if value <= low else "partial" for value in values]


def plain_score(returned: object, low: float, high: float) -> float | None:
    """The score of what is nothing but a float within the range or a truth value; None for all else."""
    if type(returned) is float:
        return returned if low <= returned <= high else None
    return high if returned is True else low if returned is False else None


def to_verdict(
    returned: object,
    low: float,
    high: float,
    floor: float,
    *,
    details: bool = True,
    floor_aspects: Mapping[str, float | None] = _NO_ASPECTS,
) -> Verdict | Fault:
    """Turn what a verifier returned into an outcome.

    Args:
        returned: A ``Score``, a ``Fault``, a number or a bool.
        low: Lowest score that the verifier declares.
        high: Highest score that the verifier declares.
        floor: Score that stands for "nothing to judge".
        details: Whether to keep more than score and code. What is left out is checked, but for evidence and feedback
            having a form in JSON.
        floor_aspects: Aspects of "nothing to judge", where the score does not name them.

    Returns:
        A verdict, or a service fault when the value is not a finite number of the declared range: a verifier that
        breaks its own declaration must not reach a policy.
    """
    plain = plain_score(returned, low, high)
    if plain is not None:
        return Verdict(plain, default_code(plain, low, high))
    if isinstance(returned, Fault):
        return returned
    score = returned if isinstance(returned, Score) else None
    raw = returned if score is None else score.value
    value = floor if score is not None and raw is None else _number(raw, low, high)
    if value is None:
        return _invalid(f"it returned {type(raw).__name__}, not a number, Score or Fault")
    if not low <= value <= high:
        return _invalid(f"its score {value!r} is outside [{low:g}, {high:g}]")
    if score is None:
        return Verdict(value, default_code(value, low, high))
    wrong = _wrong_part(score)
    if wrong:
        return _invalid(wrong)
    code = _sendable(score.code) or default_code(value, low, high)
    if not details:
        return Verdict(value, code)
    aspects = {**floor_aspects, **score.aspects} if raw is None and floor_aspects else score.aspects
    return Verdict(
        value,
        code,
        tuple((_sendable(name), part) for name, part in aspects.items()),
        tuple(score.steps),
        _sendable(score.note[:_LONGEST_TEXT]),
        encode_evidence(score.evidence),
        encode_evidence(score.feedback),
    )


def _number(value: object, low: float, high: float) -> float | None:
    """A score as a float; None for what is no number. The scalars of numpy and torch are numbers too."""
    if not isinstance(value, int | float) and hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            return None  # an array of several numbers
    if isinstance(value, bool):
        return high if value else low
    if isinstance(value, int):
        # A whole number beyond every float is beyond every range as well.
        return float(value) if abs(value) < 1 << 1000 else math.inf if value > 0 else -math.inf
    return float(value) if isinstance(value, float) else None


def _wrong_part(score: Score) -> str:
    """What of a score cannot be sent; empty when all can."""
    if not (isinstance(score.code, str) and isinstance(score.note, str)):
        return f"code {score.code!r} and note {score.note!r} must be text"
    if not _is_code(_sendable(score.code)):
        return f"its code {score.code[:LONGEST_CODE]!r} must be short (at most {LONGEST_CODE} characters) and printable"
    if len(score.aspects) > MOST_ASPECTS:
        return f"it has {len(score.aspects)} aspects, at most {MOST_ASPECTS} can be sent: put lists into the evidence"
    if len(score.steps) > MOST_STEPS:
        return f"it has {len(score.steps)} steps, at most {MOST_STEPS} can be sent: join neighbours of equal score"
    for name, part in score.aspects.items():
        if not isinstance(name, str) or not _is_part(part):
            return f"its aspect {name!r} is {part!r}, not a finite number or None"
        if len(name) > _LONGEST_NAME:
            return f"the name of its aspect {name[:_LONGEST_NAME]!r}... is longer than {_LONGEST_NAME} characters"
    for step in score.steps:
        if not isinstance(step, Step):
            return f"its step {step!r} is no Step"
        places = (step.message, step.start, step.end)
        if not isinstance(step.unit, str):
            return f"{step!r} needs a text for its unit"
        if not (_is_part(step.score) and all(isinstance(place, int) and 0 <= place < 1 << 32 for place in places)):
            return f"{step!r} needs whole numbers from 0 for its places, and a finite score or None"
    return ""


def _is_code(code: str) -> bool:
    return len(code) <= LONGEST_CODE and (not code or code.isprintable())


def is_finite(value: object) -> TypeGuard[float]:
    """Whether a value is a number that a float holds: whole numbers may be larger."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _is_part(value: object) -> bool:
    return value is None or is_finite(value)


def _sendable(text: str) -> str:
    """The text without lone surrogates, which have no form in UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _invalid(reason: str) -> Fault:
    return Fault(Party.SERVICE, "invalid_score", f"the verifier broke its declaration: {reason}")
