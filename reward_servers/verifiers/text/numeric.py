"""Numbers as answers: amounts, percentages, fractions, with a tolerance."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, field_validator

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_LONGEST = 60
_SCALES = {
    "thousand": 3,
    "k": 3,
    "million": 6,
    "mn": 6,
    "m": 6,
    "billion": 9,
    "bn": 9,
    "b": 9,
    "trillion": 12,
    "tn": 12,
}
_NUMBER = re.compile(
    r"""
    (?<![\w.,/^])
    (?P<negative>\((?=[$€£¥]?\d[^()]*\)))?                       # (1,200) of accountants
    (?P<sign>[+\-\u2212])?\s?
    (?:[$€£¥]|US\$|USD|EUR|GBP|Rs\.?)?\s?
    (?P<sign2>[+\-\u2212])?
    (?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    (?:\s?(?:e|(?:×|x|\*|\\times)\s?10\s?\^?\s?\{?)(?P<power>[+\-\u2212]?\d{1,3})\}?)?
    (?:\s?/\s?(?P<below>\d+(?:\.\d+)?))?
    (?:\s?(?P<percent>%|\\%|percent\b|per\s?cent\b)|[ -]?(?P<scale>thousand|million|billion|trillion|bn|mn|tn|[kmb])\b)?
    (?P<close>\))?
    (?![\d^]|\s?(?:×|\\times)\s?\d)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class NumericReference(Reference):
    """The right number, as a number or as people write it, or a solution that ends with it as those of GSM8K do."""

    answer: int | float | str = Field(
        description="Such as 12, `1,200`, `3/4`, `12%`, `$1.5 million`; of a solution what stands behind `####`."
    )

    @field_validator("answer", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a number, not true or false")
        return value.rpartition("####")[2].strip() if isinstance(value, str) else value


class NumericOptions(AnswerOptions):
    """How far a number may be off, and which number is the answer."""

    relative: float = Field(0.0, ge=0, lt=1, description="Relative error that is right.")
    absolute: float = Field(1e-9, ge=0, description="Absolute error that is right.")
    decimals: int | None = Field(
        None, ge=0, le=12, description="Decimal places that both numbers are rounded to first."
    )
    percent: Literal["same", "hundredth", "any"] = Field(
        "hundredth", description="12% is 12, or 0.12, or either: 'any' forgives a factor of 100 where one has the sign."
    )
    pick: Literal["only", "last"] = Field(
        "only", description="The part has one number and no other, or the last of its numbers is the answer."
    )


def _numbers(text: str) -> list[tuple[Fraction, bool]]:
    """The numbers of a text, and whether each is a percentage; exact, and never one with more than 300 digits."""
    numbers = []
    for match in _NUMBER.finditer(text):
        if len(match.group()) > _LONGEST or bool(match["negative"]) != bool(match["close"] and match["negative"]):
            continue
        try:
            value = Fraction(Decimal(re.sub(r"[,\s]", "", match["digits"])))
        except (InvalidOperation, ValueError):
            continue
        value *= Fraction(10) ** (int((match["power"] or "0").replace("\u2212", "-")))
        value *= 10 ** _SCALES.get((match["scale"] or "").lower(), 0)
        if match["below"]:
            below = Fraction(match["below"])
            if below == 0:
                continue
            value /= below
        minus = bool(match["negative"]) ^ ((match["sign"] or match["sign2"] or "+") != "+")
        numbers.append((-value if minus else value, match["percent"] is not None))
    return numbers


def _read(value: float | str) -> tuple[Fraction, bool]:
    if isinstance(value, int | float):
        try:
            return Fraction(str(value)), False
        except ValueError:
            raise DatasetError(f"reference.answer: {value} is no number") from None
    numbers = _numbers(value)
    if len(numbers) != 1:
        raise DatasetError(f"reference.answer: {value!r} holds {len(numbers)} numbers, and not one")
    return numbers[0]


def _forms(number: tuple[Fraction, bool], other_has_sign: bool, how: str) -> list[Fraction]:
    value, percentage = number
    if how == "same":
        return [value]
    if how == "hundredth" or percentage == other_has_sign:
        return [value / 100 if percentage else value]
    return [value / 100, value] if percentage else [value, value / 100]


def _error(stated: Fraction, right: Fraction, options: NumericOptions) -> tuple[Fraction, bool]:
    """Difference of two numbers, and whether it is within the tolerance."""
    if options.decimals is not None:
        stated, right = (
            Fraction(round(number * 10**options.decimals), 10**options.decimals) for number in (stated, right)
        )
    difference = abs(stated - right)
    return difference, difference <= max(Fraction(options.absolute), Fraction(options.relative) * abs(right))


@verifier(
    "numeric", version="2", limits=ItemLimits(response_bytes=1 << 18), aspects={"relative_error": None, "numbers": 0.0}
)
def numeric(rollout: Rollout, ref: NumericReference, options: NumericOptions) -> Score:
    """Whether a number equals the right one within a tolerance, however written: 1,200, 1.2k, 12e2, (5), 3/4, 12%.

    Source: relative and absolute tolerance as in `math.isclose` (PEP 485), the reference being the number that is
    right; the forms of numbers are ours.
    """
    right = _read(ref.answer)
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    numbers = _numbers(answer)
    if not numbers or (options.pick == "only" and len(numbers) > 1):
        return Score.floor("no_answer", f"{len(numbers)} numbers; pick = {options.pick}")
    stated = numbers[-1]
    comparisons = [
        (*_error(stated_form, right_form, options), right_form)
        for stated_form in _forms(stated, right[1], options.percent)
        for right_form in _forms(right, stated[1], options.percent)
    ]
    difference, _, beside = min(comparisons)
    aspects = {
        "relative_error": float(min(difference / abs(beside), Fraction(10**12))) if beside else None,
        "numbers": float(len(numbers)),
    }
    return Score(
        float(any(close for _, close, _ in comparisons)), aspects=aspects, evidence={"value": str(stated[0])[:80]}
    )
