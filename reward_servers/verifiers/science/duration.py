"""Lengths of time as answers."""

from __future__ import annotations

import re
from fractions import Fraction

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_UNIT = r"(w|weeks?|d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|milliseconds?)"
_PART = re.compile(rf"(\d+(?:\.\d+)?|\d+/\d+|an?|half an?)\s*{_UNIT}(?![a-z])", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:,\s*and\b|,|\band\b)?\s*", re.IGNORECASE)
_ISO = re.compile(r"P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,4}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")
_LONGEST = 120


class DurationReference(Reference):
    """The right length of time."""

    answer: str | float = Field(description="ISO 8601 such as `PT1H30M`, words such as `1 h 30 min`, or seconds.")


class DurationOptions(AnswerOptions):
    """How far a length of time may be off."""

    relative: float = Field(0.0, ge=0, lt=1, description="Relative error that is right.")
    seconds: float = Field(0.0, ge=0, description="Seconds that it may be off.")
    clock: bool = Field(True, description="Whether 1:30 is read as minutes and seconds, and 1:30:00 as hours.")


def _read(text: str, clock: bool) -> Fraction | None:
    """Seconds of a text that is one length of time; months and years have none."""
    text = " ".join(text.split()).rstrip(".")
    if not text or len(text) > _LONGEST:
        return None
    if (iso := _ISO.fullmatch(text)) is not None and any(iso.groups()):
        return sum(
            (Fraction(part) * _SECONDS[unit] for part, unit in zip(iso.groups(), "wdhms", strict=True) if part),
            Fraction(),
        )
    if clock and (match := _CLOCK.fullmatch(text)) is not None:
        first, second, third = match.groups()
        if int(second) >= 60 or Fraction(third or 0) >= 60:
            return None
        return (
            Fraction(first) * 3600 + Fraction(second) * 60 + Fraction(third)
            if third
            else Fraction(first) * 60 + int(second)
        )
    total, place, last = Fraction(), 0, Fraction(10**12)
    while place < len(text):
        between = _BETWEEN.match(text, place) if place else None
        match = _PART.match(text, between.end() if between else place)
        if match is None:
            return None
        each = (
            Fraction(1, 1000)
            if match[2].lower().startswith(("ms", "mill"))
            else Fraction(_SECONDS[match[2][0].lower()])
        )
        if each >= last:
            return None
        total += _amount(match[1].lower()) * each
        place, last = match.end(), each
    return total


def _amount(text: str) -> Fraction:
    if text.startswith("half"):
        return Fraction(1, 2)
    if text.startswith("a"):
        return Fraction(1)
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1) if Fraction(below or 1) else Fraction()


@verifier(
    "duration", version="1", limits=ItemLimits(response_bytes=1 << 19), aspects={"seconds": None, "seconds_off": None}
)
def duration(rollout: Rollout, ref: DurationReference, options: DurationOptions) -> Score:
    """Whether a length of time is the right one, however it is written: PT1H30M, 1 h 30 min, 90 minutes, 1:30:00.

    Source: durations of ISO 8601-1; the forms in words are ours.
    """
    right = Fraction(str(ref.answer)) if isinstance(ref.answer, float) else _read(ref.answer, options.clock)
    if right is None:
        raise DatasetError(f"reference.answer: {ref.answer!r} is not a length of time such as PT1H30M")
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    stated = _read(answer, options.clock)
    if stated is None:
        return Score.floor("no_answer", "the answer is not one length of time, largest unit first")
    off = abs(stated - right)
    close = off <= max(Fraction(options.seconds), Fraction(options.relative) * abs(right))
    return Score(float(close), aspects={"seconds": float(stated), "seconds_off": float(off)})
