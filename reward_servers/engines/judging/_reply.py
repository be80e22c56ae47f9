"""What a judge's reply says, and the protocols in which it may say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Protocol(StrEnum):
    """The form in which a judge is asked for its verdict."""

    LIKERT_1_10 = "likert_1_10"
    LIKERT_1_5 = "likert_1_5"
    BINARY = "binary_yes_no"
    PAIRWISE = "pairwise_ab"
    ARENA = "pairwise_arena5"
    EQUIVALENCE = "equivalence"
    RUBRIC = "rubric_json"
    GENRM = "genrm_json"
    GRADE = "grade_word"
    BEST = "best_of"

    @classmethod
    def _missing_(cls, value: object) -> Protocol | None:
        """``likert_LOW_HIGH`` is a rating on any scale within 0 to 100, ``ratings_LOW_HIGH`` one for each key."""
        match = _SCALED.fullmatch(str(value))
        if match is None or not int(match[2]) < int(match[3]) <= _HIGHEST:
            return None
        member = str.__new__(cls, match[0])
        member._name_, member._value_ = match[0].upper(), match[0]
        protocol: Protocol = cls._value2member_map_.setdefault(match[0], member)  # type: ignore[assignment]
        return protocol

    @property
    def scale(self) -> tuple[int, int] | None:
        """Lowest and highest rating; None for a verdict that is no rating."""
        match = _SCALED.fullmatch(self.value)
        return (int(match[2]), int(match[3])) if match is not None else None

    @property
    def rates(self) -> bool:
        """Whether the verdict is one rating."""
        return self.value.startswith("likert_")

    @property
    def keyed(self) -> bool:
        """Whether the verdict is an object with a value for each key."""
        return self is Protocol.RUBRIC or self.value.startswith("ratings_")


_SCALED = re.compile(r"(likert|ratings)_(\d{1,3})_(\d{1,3})")
_HIGHEST = 100
MARGINS = {"A>>B": 2, "A>B": 1, "A=B": 0, "B>A": -1, "B>>A": -2}


class Status(StrEnum):
    """What became of a reply. Only ``ok`` carries a value."""

    OK = "ok"
    PARSE_ERROR = "parse_error"
    AMBIGUOUS = "ambiguous"
    OUT_OF_RANGE = "out_of_range"
    TRUNCATED = "truncated"
    REFUSAL = "refusal"
    EMPTY = "empty"
    INCONSISTENT = "inconsistent"


class Channel(StrEnum):
    """How far a reply can be told from what a candidate wrote.

    ``signed``: it holds the token that only the judge was told. ``unsigned``: it was asked to and does not.
    ``unprotected``: there was no token.
    """

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    UNPROTECTED = "unprotected"


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed reply.

    A reply that should have been signed, is not, and repeats a verdict of a judged text has no value: this cannot be
    written down.

    Attributes:
        status: What became of it.
        value: The verdict when ``status`` is ok: a number (Likert), ``"A"``, ``"B"`` or ``"tie"`` (pairwise_ab), one of
            ``MARGINS`` (pairwise_arena5), a bool (binary, equivalence), an offered word (grade_word) or letter
            (best_of), a bool (rubric_json) or a number (ratings) for each key, or the three numbers (genrm_json).
        injection_detected: Whether the reply repeats a verdict form that the judged text contains.
        channel: Whether the verdict is signed.

    Raises:
        ValueError: The fields contradict each other.
    """

    status: Status
    value: Any = None
    injection_detected: bool = False
    channel: Channel = Channel.UNPROTECTED

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status is not Status.OK):
            raise ValueError(f"status {self.status.value} with value {self.value!r}")
        if self.value is not None and self.injection_detected and self.channel is Channel.UNSIGNED:
            raise ValueError("an unsigned verdict that repeats a planted one is no verdict")

    @property
    def margin(self) -> int | None:
        """How far A is ahead of B, from 2 to -2, for pairwise_arena5."""
        return MARGINS.get(self.value) if isinstance(self.value, str) else None


def unit_score(protocol: Protocol, value: Any) -> float:
    """A verdict between 0 and 1: a rating's place on its scale, A's share of a comparison, or whether it was yes."""
    if protocol.scale is not None:
        low, high = protocol.scale
        return float(value - low) / (high - low)
    if protocol is Protocol.PAIRWISE:
        return 0.5 if value == "tie" else float(value == "A")
    if protocol is Protocol.ARENA:
        return (MARGINS[value] + 2) / 4
    return float(value)
