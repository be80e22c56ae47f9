"""Dates as answers."""

from __future__ import annotations

import re
from datetime import date as Day
from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_NAME = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})?"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_FORMS = [
    re.compile(_WEEKDAY + form, re.IGNORECASE)
    for form in (
        rf"{_YEAR}-(?P<month>\d{{1,2}})(?:-(?P<day>\d{{1,2}})(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?{_ZONE})?)?",
        rf"{_YEAR}(?P<sign>[/.])(?P<month>\d{{1,2}})(?P=sign)(?P<day>\d{{1,2}})",
        rf"(?P<first>\d{{1,2}})(?P<sign>[/.\-])(?P<second>\d{{1,2}})(?P=sign){_YEAR}",
        rf"{_NAME}\s+{_DAY},?\s+{_YEAR}",
        rf"{_DAY}\s+(?:of\s+)?{_NAME},?\s+{_YEAR}",
        rf"{_DAY}-{_NAME}-{_YEAR}",
        rf"{_NAME},?\s+{_YEAR}",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
        rf"(?:in\s+)?{_YEAR}",
    )
]
_LONGEST = 60

Date = tuple[int, int | None, int | None]


class DateReference(Reference):
    """The right date: a day, a month or a year."""

    answer: str = Field(min_length=1, description="ISO 8601: `2021-03-05`, `2021-03` or `2021`.")


class DateOptions(AnswerOptions):
    """How dates are read, and how far off one may be."""

    order: Literal["refuse", "day_first", "month_first"] = Field(
        "refuse", description="What 03/05/2021 is; 'refuse': what can be read in two ways is no answer."
    )
    days: int = Field(0, ge=0, description="Days that a date may be off.")
    precision: Literal["reference", "exact"] = Field(
        "reference", description="A day is right where a month or a year is asked for and it lies in it; or it is not."
    )


def _read(text: str, order: str) -> Date | None:
    """Year, month and day of a text that is one date; None where it is none, or can be read in two ways."""
    text = " ".join(text.split()).rstrip(".")
    match = (
        next((form_match for form in _FORMS if (form_match := form.fullmatch(text))), None)
        if len(text) <= _LONGEST
        else None
    )
    if match is None:
        return None
    parts = match.groupdict()
    month, day = parts.get("month"), parts.get("day")
    if parts.get("name"):
        month = str(_MONTHS.split().index(parts["name"][:3].lower()) + 1)
    if parts.get("first"):
        first, second = parts["first"], parts["second"]
        if order == "refuse" and first != second and max(int(first), int(second)) <= 12:
            return None
        day_first = order == "day_first" if max(int(first), int(second)) <= 12 else int(first) > 12
        day, month = (first, second) if day_first else (second, first)
    date: Date = int(parts["year"]), int(month) if month else None, int(day) if day else None
    try:
        _day(date)
    except ValueError:
        return None
    return date


def _day(date: Date) -> Day:
    return Day(date[0], date[1] or 1, date[2] or 1)


@verifier(
    "date",
    version="2",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"days_off": None, "year": 0.0, "month": 0.0, "day": 0.0},
)
def date(rollout: Rollout, ref: DateReference, options: DateOptions) -> Score:
    """Whether a date is the right one, however it is written: 2021-03-05, March 5, 2021, 5 Mar 2021, 25/03/2021.

    Source: calendar dates of ISO 8601-1; the English forms beside them are ours.
    """
    right = _read(ref.answer, "refuse")
    if right is None:
        raise DatasetError(f"reference.answer: {ref.answer!r} is not a date such as 2021-03-05")
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    stated = _read(answer, options.order)
    if stated is None:
        return Score.floor("no_answer", "the answer is not one date, or can be read in two ways")
    known_parts = sum(part is not None for part in right)
    precise = sum(part is not None for part in stated)
    off = float(abs((_day(stated) - _day(right)).days)) if precise == known_parts == 3 else None
    is_same = stated[:known_parts] == right[:known_parts] and (
        options.precision == "reference" or precise == known_parts
    )
    value = is_same or (off is not None and off <= options.days)
    parts = {
        name: None if expected is None else float(stated[place] == expected)
        for place, (name, expected) in enumerate(zip(("year", "month", "day"), right, strict=True))
    }
    return Score(float(value), aspects={"days_off": off, **parts}, evidence={"date": stated})
