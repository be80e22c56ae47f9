"""Physical quantities: a number with a unit."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import pint
from pydantic import ConfigDict, Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, answer_part

_POWER = r"(?:e|\s*(?:\*|\u00d7|\u00b7|x|\\times|\\cdot)\s*10\s*\^?\s*\{?)([+-]?\d{1,3})\}?"
_QUANTITY = re.compile(rf"\s*([+-]?(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?|[+-]?\.\d+)(?:{_POWER})?\s*(.*?)\s*", re.I)
_UNIT = re.compile(r"[A-Za-z\u00b5\u03bc\u03a9\u2126\u00b0%]+(?:\^\{?[+-]?\d\}?|[+-]?\d)?")
_BETWEEN = re.compile(r"\s*(?:[*/\u00b7\u22c5]|\\cdot)?\s*")
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u2212", "0123456789--"
)
_LATEX = re.compile(r"\\(?:mathrm|text|rm|,|;|!| )\s*|[{}$]|~")
_MATHS = (("\\(", "\\)"), ("\\[", "\\]"), ("$", "$"))
_LONGEST = 200


class QuantityReference(Reference):
    """The right quantity, such as ``9.81 m/s^2``; a plain number has no unit."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: str = Field(min_length=1)


class QuantityOptions(AnswerOptions):
    """How far a value may be off."""

    relative: float = Field(0.01, ge=0, lt=1, description="Relative error that is right.")
    absolute: float = Field(0.0, ge=0, description="Absolute error that is right, in the reference's unit.")
    unit: bool = Field(True, description="Whether a value without a unit is wrong where the reference has one.")


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[float]:
    return pint.UnitRegistry(cache_folder=None)


def _read(text: str) -> tuple[float, str] | None:
    """Number and unit of a text that is one quantity.

    Nothing is evaluated: a unit is names, signs between them and exponents of one digit.
    """
    text = text.strip().rstrip(".")
    text = next(
        (text[len(opening) : -len(closing)] for opening, closing in _MATHS if _holds(text, opening, closing)), text
    )
    text = text.translate(_SUPERSCRIPTS)
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    digits, power, unit = match.groups()
    value = float(f"{digits.replace(',', '')}e{power or 0}")
    return (value, _LATEX.sub("", unit).strip()) if math.isfinite(value) else None


def _holds(text: str, opening: str, closing: str) -> bool:
    """Whether the whole text is between two marks of LaTeX."""
    return len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing)


@lru_cache(maxsize=512)
def _unit(text: str) -> pint.Unit | None:
    """The unit of a text; None for one that is none."""
    parts: list[str] = []
    place = 0
    while place < len(text):
        between = _BETWEEN.match(text, place)
        name = _UNIT.match(text, between.end() if between else place)
        if name is None:
            return None
        sign = between.group().strip() if between else ""
        parts.append(("/" if sign == "/" else "*" if parts else "") + _power_of(name.group()))
        parts[0] = f"1{parts[0]}" if parts[0].startswith("/") else parts[0]
        place = name.end()
    try:
        unit: pint.Unit = _registry().Unit("".join(parts).lstrip("*") or "dimensionless")
    except (pint.PintError, ValueError, AttributeError, TypeError):
        return None
    return unit


def _power_of(name: str) -> str:
    """One name with its exponent as pint writes it; the signs of degrees, per cent and ohm by their names."""
    match = re.fullmatch(r"(.*?)\^?\{?([+-]?\d)?\}?", name)
    assert match is not None
    bare = match.group(1).replace("\u00b0C", "degC").replace("\u00b0F", "degF").replace("\u00b0", "degree")
    bare = bare.replace("%", "percent").replace("\u03a9", "ohm").replace("\u2126", "ohm")
    return f"{bare}**({match.group(2)})" if match.group(2) else bare


@verifier(
    "quantity",
    version="2",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"relative_error": None, "dimension": 0.0},
    libraries=("pint",),
)
def quantity(rollout: Rollout, ref: QuantityReference, options: QuantityOptions) -> Score:
    """Whether a number with its unit equals the right quantity, in any unit of the same dimension.

    Source: units of the SI brochure (9th edition) and others as the package pint defines them.
    """
    reference = _read(ref.answer)
    right_unit = _unit(reference[1]) if reference is not None else None
    if reference is None or right_unit is None:
        raise DatasetError(f"reference.answer: {ref.answer!r} is not a number with a known unit")
    answer = answer_part(rollout, options)
    stated = _read(answer) if answer is not None else None
    if stated is None:
        return Score.floor("no_answer", "the answer is not one number with its unit")
    unit = right_unit if not stated[1] and not options.unit else _unit(stated[1])
    if unit is None:
        return Score(
            0.0, "unknown_unit", note=f"unit {stated[1]!r}", aspects={"relative_error": None, "dimension": 0.0}
        )
    try:
        value = float(_registry().Quantity(stated[0], unit).to(right_unit).magnitude)
    except (pint.PintError, ArithmeticError, ValueError):
        note = f"{stated[1] or 'no unit'} for {reference[1] or 'no unit'}"
        return Score(0.0, "wrong_dimension", note=note, aspects={"relative_error": None, "dimension": 0.0})
    error = abs(value - reference[0])
    right = error <= max(options.absolute, options.relative * abs(reference[0]))
    aspects = {"relative_error": error / abs(reference[0]) if reference[0] else None, "dimension": 1.0}
    return Score(float(right), aspects=aspects, evidence={"value": value, "unit": str(right_unit)})
