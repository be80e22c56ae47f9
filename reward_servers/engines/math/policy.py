"""Policies: every decision a grader makes about form, as one frozen value, with named profiles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Rule = Literal[
    "box",
    "latest",
    "tag",
    "hash",
    "phrase",
    "alone",
    "emphasis",
    "sentence",
    "minerva",
    "answer_line",
    "last_math",
    "last_value",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Deterministic bounds, checked before the work they bound.

    A bound passed by a candidate is its own verdict (`limit`); one passed by a gold is a fault of
    the data set.
    """

    response_chars: int = 4_000_000
    answer_chars: int = 16_000
    tokens: int = 16_000
    depth: int = 64
    height: int = 90
    digits: int = 4_000
    bits: int = 120_000
    items: int = 6_000
    fuel: int = 400_000
    precision: int = 8_192
    symbolic_nodes: int = 250


@dataclass(frozen=True, slots=True)
class Policy:
    """How an answer is found and when two answers are the same.

    Attributes:
        name: Shown in every judgement.
        extraction: Rules that find the answer, in order of preference.
        tolerance: Relative tolerance between numbers; 0 asks for exact equality.
        gold_precision: Accept a number that rounds to a decimal gold at the gold's own places.
        float_rounding: Compare numbers rounded to so many places where one of them is a decimal.
        decimal_comma: Read `1,5` as a decimal where it is no grouping.
        units: `drop` accepts a missing or added unit, `require` wants the gold's, `ignore` looks at none.
        percent: Let a percentage equal its value and let the sign be dropped or added.
        ordered_lists: Compare bare lists in order.
        reduced: Refuse fractions that are not in lowest terms.
        integers_literal: An integer gold wants a literal integer, and only such a gold takes one.
        arithmetic: Accept unevaluated arithmetic of numbers (powers, factorials, binomials, products).
        operators: Accept operators that restate a question (sum, integral, limit, product, derivative).
        joined_boxes: Read boxes joined by and, or, comma as one list.
        hedges: Refuse an answer that is taken back or offered as one of several.
        think: Ignore think sections; without it they are searched like the rest.
        require_think_end: No answer before a think section was closed.
        chains: Read the last value of `a = b = c`, whatever stands before.
        strings: Whether folded strings are compared: not at all, before any algebra, or alone.
        symbolic: Ask the symbolic stage what enclosures cannot decide.
        window: Look only at this many last characters (0: all).
        limits: The deterministic bounds.
    """

    name: str = "default"
    extraction: tuple[Rule, ...] = ("box", "tag", "hash", "phrase", "alone", "emphasis", "sentence")
    tolerance: float = 0.0
    gold_precision: bool = False
    float_rounding: int | None = None
    decimal_comma: bool = False
    units: Literal["drop", "require", "ignore"] = "drop"
    percent: bool = True
    ordered_lists: bool = False
    reduced: bool = False
    integers_literal: bool = False
    arithmetic: bool = True
    operators: bool = False
    joined_boxes: bool = True
    hedges: bool = True
    think: bool = True
    require_think_end: bool = False
    chains: bool = False
    strings: Literal["none", "first", "only"] = "none"
    symbolic: bool = True
    window: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < float("inf"):
            raise ValueError(f"a tolerance is a finite number from 0 on, not {self.tolerance}")


DEFAULT = Policy()

_MATH_VERIFY = replace(
    DEFAULT,
    name="math_verify",
    extraction=("latest", "phrase", "whole", "last_value"),
    float_rounding=6,
    decimal_comma=True,
    units="ignore",
    think=False,
    operators=True,
    hedges=False,
    chains=True,
)

PROFILES: dict[str, Policy] = {
    "default": DEFAULT,
    "box_only": replace(DEFAULT, name="box_only", extraction=("box",)),
    "strict": replace(
        DEFAULT,
        name="strict",
        extraction=("box", "tag", "hash", "phrase"),
        arithmetic=False,
        reduced=True,
        percent=False,
        units="require",
    ),
    "math_verify": _MATH_VERIFY,
    "minerva": replace(
        DEFAULT,
        name="minerva",
        extraction=("minerva",),
        strings="first",
        units="ignore",
        percent=False,
        operators=True,
        chains=True,
        think=False,
        hedges=False,
    ),
    "dapo": replace(
        DEFAULT,
        name="dapo",
        extraction=("answer_line",),
        window=300,
        strings="only",
        units="ignore",
        think=False,
        hedges=False,
    ),
    "deepscaler_strict": replace(
        DEFAULT,
        name="deepscaler_strict",
        extraction=("box",),
        reduced=True,
        integers_literal=True,
        ordered_lists=True,
        joined_boxes=False,
        require_think_end=True,
        units="ignore",
        hedges=False,
    ),
    "trl_reasoning": replace(
        _MATH_VERIFY, name="trl_reasoning", extraction=("latest",), think=True, require_think_end=True
    ),
}
"""Profiles by name; a caller may also build its own with `dataclasses.replace`."""
