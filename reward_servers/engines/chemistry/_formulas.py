r"""Formulas: ``Ca(OH)2``, ``CuSO4·5H2O``, ``SO4^2-``, ``[Fe(CN)6]3-``, ``\ce{H2O}``."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_LISTED = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb
    Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au
    Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts
    Og D T
"""
_ELEMENTS = frozenset(_LISTED.split())
_SMALL = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789+-0123456789")
_RAISED = re.compile(r"([⁰¹²³⁴⁵⁶⁷⁸⁹]*[⁺⁻])")
_WRAPPED = re.compile(r"\\(?:ce|mathrm|text|rm)\s*\{")
_STATE = re.compile(r"\s*\((?:s|l|g|aq)\)$")
_CHARGE = re.compile(r"(?:\^\{?\s*(\d*)\s*([+-])\s*\}?|\^\{?\s*([+-])\s*(\d*)\s*\}?|(?<=\])(\d*)([+-])|([+-]+))$")
_ION = re.compile(r"(?:\d+)?([A-Z][a-z]?)(\d+)([+-])")
_ELECTRON = re.compile(r"e(?:\^?\{?-\}?)")
_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)|([(\[])|([)\]])(\d*)")
_LONGEST = 300
_DEEPEST = 8
_MOST = 1_000_000


class FormulaError(ValueError):
    """A text that is no formula, or no equation."""


@dataclass(frozen=True, slots=True)
class Species:
    """What a formula names.

    Attributes:
        atoms: Number of atoms of each element, by its symbol.
        charge: In elementary charges.
        written: The formula without states, spaces and marks of layout.
    """

    atoms: tuple[tuple[str, int], ...]
    charge: int
    written: str

    @property
    def composition(self) -> tuple[tuple[tuple[str, int], ...], int]:
        """What two formulas of the same composition share, whatever the order in which they are written."""
        return self.atoms, self.charge


def plain(text: str) -> str:
    """A text without marks of LaTeX, with small and raised digits as plain ones."""
    text = _RAISED.sub(lambda match: "^" + match[1].translate(_RAISE), text).translate(_SMALL)
    text = _WRAPPED.sub("{", text).replace("$", "").replace("\\,", "").replace("\u2212", "-").replace("\u2013", "-")
    text = re.sub(r"_(?:\{(\d+)\}|(\d+))", r"\1\2", text)
    while (bare := re.sub(r"(?<!\^)\{([^{}]*)\}", r"\1", text)) != text:
        text = bare
    return text.strip()


_RAISE = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")


def read_formula(text: str) -> Species:
    """Read one formula.

    Args:
        text: Such as ``Al2(SO4)3``. A state such as ``(aq)`` is left out. A charge stands behind ``^``, behind a square
            bracket, or as a sign alone: ``SO4^2-``, ``[Fe(CN)6]3-``, ``NH4+``; behind one element also as
            ``Fe3+``.

    Raises:
        FormulaError: It is none.
    """
    if len(text) > _LONGEST:
        raise FormulaError(f"a formula of {len(text)} characters")
    body = _STATE.sub("", plain(text)).replace(" ", "")
    if _ELECTRON.fullmatch(body):
        return Species((), -1, "e^-")
    if (ion := _ION.fullmatch(body)) is not None and ion[1] in _ELEMENTS:
        body = f"{body[: ion.start(2)]}^{ion[2]}{ion[3]}"
    charge, match = 0, _CHARGE.search(body)
    if match is not None:
        digits, sign, other_sign, other_digits, bracket, bracket_sign, signs = match.groups()
        size = digits or other_digits or bracket
        charge = int(size[:3]) if size else len(signs or "+")
        charge = -charge if (sign or other_sign or bracket_sign or signs)[0] == "-" else charge
        body = body[: match.start()]
    atoms: Counter[str] = Counter()
    for part in re.split(r"[·•*.]", body):
        times = re.match(r"\d*", part)
        assert times is not None
        for element, count in _parse(part[times.end() :]).items():
            atoms[element] += count * int(times[0] or 1)
    if any(count > _MOST for count in atoms.values()):
        raise FormulaError("more atoms than are counted")
    return Species(tuple(sorted(atoms.items())), charge, body)


def _parse(text: str) -> Counter[str]:
    stack: list[tuple[str, Counter[str]]] = [("", Counter())]
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise FormulaError(f"{text[place : place + 10]!r} is no element")
        element, count, opens, closes, times = token.groups()
        if len(count or times or "") > 6 or (count or times) == "0":
            raise FormulaError(f"the number {count or times}")
        if element:
            if element not in _ELEMENTS:
                raise FormulaError(f"{element!r} is no element")
            stack[-1][1][element] += int(count or 1)
        elif opens:
            if len(stack) > _DEEPEST:
                raise FormulaError("brackets in brackets")
            stack.append((opens, Counter()))
        else:
            opened, inside = stack.pop()
            if opened != {")": "(", "]": "["}[closes]:
                raise FormulaError("brackets that do not close")
            for symbol, number in inside.items():
                stack[-1][1][symbol] += number * int(times or 1)
        place = token.end()
    if len(stack) != 1 or not stack[0][1] or any(number <= 0 for number in stack[0][1].values()):
        raise FormulaError(f"{text[:30]!r} is no formula")
    return stack[0][1]
