"""Equations: ``2 H2 + O2 -> 2 H2O``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from reward_servers.engines.chemistry._formulas import FormulaError, Species, plain, read_formula

_ARROW = re.compile(
    r"\\(?:long|x)?(?:left)?rightarrow(?:\[[^\]]*\])?|\\(?:rightleftharpoons|to)\b"
    r"|<?[-=\u2500]+>{1,2}|[\u2192\u27f6\u21cc\u21c4\u2192\u27f9\u21d2]|<=>|="
)
_TERM = re.compile(r"\s*(\d{1,7}/\d{1,7}|\d{1,7}(?:\.\d{1,7})?|)\s*\*?\s*(\S.*?)\s*")
_SPACED = re.compile(r"\s+\+\s+")
_CLOSE = re.compile(r"(?<=[\w)\]+\-])\+(?=[A-Z\d(\[])")
_MOST = 20
_LONGEST = 2_000

Side = tuple[tuple[Species, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """What reacts, and what comes of it, each with its coefficient."""

    left: Side
    right: Side

    @property
    def terms(self) -> dict[tuple[object, ...], Fraction]:
        """Coefficient of each species by its composition and its side: 1 for the left one, -1 for the right one."""
        counts: dict[tuple[object, ...], Fraction] = {}
        for side, sign in ((self.left, 1), (self.right, -1)):
            for species, count in side:
                key = (*species.composition, sign)
                counts[key] = counts.get(key, Fraction()) + count
        return counts


def read_equation(text: str) -> Equation:
    """Read one equation with an arrow or an equals sign.

    Raises:
        FormulaError: It is none.
    """
    if len(text) > _LONGEST:
        raise FormulaError(f"an equation of {len(text)} characters")
    sides = _ARROW.split(_ready(text))
    if len(sides) != 2:
        raise FormulaError(f"{len(sides) - 1} arrows")
    left, right = (_side(side) for side in sides)
    return Equation(left, right)


def is_balanced(equation: Equation) -> bool:
    """Whether each element, and the charge, is there as often on both sides, and no species stands on both."""
    totals: dict[str, Fraction] = {}
    charge = Fraction()
    for side, sign in ((equation.left, 1), (equation.right, -1)):
        for species, count in side:
            charge += sign * count * species.charge
            for element, number in species.atoms:
                totals[element] = totals.get(element, Fraction()) + sign * count * number
    sides = [{species.composition for species, _ in side} for side in (equation.left, equation.right)]
    return not any(totals.values()) and charge == 0 and not sides[0] & sides[1]


def _ready(text: str) -> str:
    """Arrows of LaTeX are kept from being read as brackets."""
    return plain(re.sub(r"\\x?rightarrow\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}", " -> ", text))


def _side(text: str) -> Side:
    side = []
    between = _SPACED if _SPACED.search(text) else _CLOSE
    for part in between.split(text.strip()):
        match = _TERM.fullmatch(part)
        if match is None:
            raise FormulaError(f"{part[:30]!r} is no species with a coefficient")
        try:
            count = Fraction(match[1] or "1")
        except ZeroDivisionError:
            raise FormulaError("a coefficient that divides by 0") from None
        if not 0 < count <= 10**6:
            raise FormulaError(f"the coefficient {match[1]}")
        side.append((read_formula(match[2]), count))
    if len(side) > _MOST:
        raise FormulaError(f"{len(side)} species on one side")
    return tuple(side)
