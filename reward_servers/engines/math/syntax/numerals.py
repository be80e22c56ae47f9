"""Numerals as written: grouping, decimals, exponents, repeating decimals, exact."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import Num
from reward_servers.engines.math.policy import Limits

_SEP = r"(?: ?\{ ?,(?:\\!)? ?\} ?|\{\\[,;:! ]\}|\\!,|,\\! ?|,|\\[,;:! ]|~| |')"
_DOTS = r"\s?(?:\.\.\.|…|\\l?dots\b|\\cdots\b)"
_NUMBER = re.compile(
    rf"(?P<group>[1-9][0-9]{{0,2}}(?P<sep>{_SEP})[0-9]{{3}}(?:(?P=sep)[0-9]{{3}})*(?!,?[0-9])(?P<gdec>\.[0-9]+)?)"
    r"|(?P<int>[0-9]*)(?:(?P<dot>\.(?!\.)|\{\.\})(?P<dec>(?:[0-9](?!\u0305))*)"
    r"(?P<rep>\\(?:overline|bar|overbar)\s*\{?[0-9]+\}?"
    r"|(?:\\dot\s*\{?[0-9]\}?)[0-9]*(?:\\dot\s*\{?[0-9]\}?)?|\([0-9]+\)|(?:[0-9]\u0305)+"
    rf"|{_DOTS})?)?"
)
_PLAIN = re.compile(r"[0-9]+")
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,9})(?![0-9.A-Za-z])")


class Context(NamedTuple):
    """What around a numeral decides how its separators are read."""

    depth: int
    commas_are_spaced: bool
    after_numeral: bool


def digits_to_int(text: str) -> int:
    """`int()` without the interpreter's ceiling on the length of a literal."""
    if len(text) <= 4000:
        return int(text or "0")
    half = len(text) // 2
    return digits_to_int(text[:half]) * int(10 ** (len(text) - half)) + digits_to_int(text[half:])


def read(text: str, pos: int, end: int, context: Context, limits: Limits) -> tuple[Num, int]:
    """The numeral at `pos` and the position after it.

    Raises:
        AnswerSyntaxError: An ellipsis follows digits that show no repeating pattern.
        LimitExceededError: It is longer than `limits.digits`.
    """
    match = _NUMBER.match(text, pos, end)
    if match is None or match.end() == pos:
        raise AnswerSyntaxError("stray character", pos)
    after = match.end()
    if after - pos > limits.digits:
        raise LimitExceededError("digits", f"a number of {after - pos} characters")
    if match["group"] and _grouped(match, text, context):
        whole, _, decimals = re.sub(r"[^0-9.]", "", match["group"]).partition(".")
        num = decimal(whole, decimals)
    elif match["group"]:
        plain = _PLAIN.match(text, pos, end)
        assert plain is not None
        num, after = decimal(plain[0], ""), plain.end()
    elif match["rep"]:
        num = _repeating(match["int"], match["dec"] or "", match["rep"], pos)
    else:
        num = decimal(match["int"], match["dec"] or "")
    exponent = _EXPONENT.match(text, after, end)
    if exponent and not match["rep"]:
        power = int(exponent[1])
        if abs(power) > limits.digits:
            raise LimitExceededError("digits", f"an exponent of {power}")
        num, after = Num(num.value * Fraction(10) ** power), exponent.end()
    return num, after


def _grouped(match: re.Match[str], text: str, context: Context) -> bool:
    """Whether the separators inside a numeral group its digits in threes."""
    sep = match["sep"]
    if sep == ",":
        return context.depth == 0 or context.commas_are_spaced
    if sep in (" ", "~", "\\ "):
        # "2 500/3" and "1 234 5" are no single numeral.
        following = text[match.end() : match.end() + 2].lstrip()
        return following[:1] not in ("/", "^", "_") and not context.after_numeral
    return True


def decimal(whole: str, decimals: str) -> Num:
    """Digits before and after the point as a number."""
    if not decimals:
        return Num(Fraction(digits_to_int(whole)), 0)
    return Num(Fraction(digits_to_int(whole + decimals), 10 ** len(decimals)), len(decimals))


def recurring(numeral: str) -> Num | None:
    """The value of digits that are said to repeat: their shown period, or their last digit."""
    whole, point, decimals = numeral.partition(".")
    if not point or not decimals.isdigit() or not (whole.isdigit() or not whole):
        return None
    before, period = _period(decimals)
    if not period:
        before, period = decimals[:-1], decimals[-1]
    base = Fraction(digits_to_int(whole + before), 10 ** len(before))
    return Num(base + Fraction(int(period), 10 ** len(before) * (10 ** len(period) - 1)))


def _repeating(whole: str, decimals: str, mark: str, pos: int) -> Num:
    period = re.sub(r"[^0-9]", "", mark)
    if not period:
        decimals, period = _period(decimals)
        if not period:
            raise AnswerSyntaxError("an ellipsis after digits that show no repeating pattern", pos)
    base = Fraction(digits_to_int(whole + decimals), 10 ** len(decimals))
    return Num(base + Fraction(int(period), 10 ** len(decimals) * (10 ** len(period) - 1)))


def _period(decimals: str) -> tuple[str, str]:
    """Split digits before an ellipsis into what precedes the period and the period itself.

    A single digit must be seen three times (or be all there is, twice), a longer block twice.
    """
    size = len(decimals)
    for length in range(1, size // 2 + 1):
        block = decimals[size - length :]
        repeats, start = 1, size - length
        while start >= length and decimals[start - length : start] == block:
            repeats, start = repeats + 1, start - length
        if repeats >= (3 if length == 1 else 2) or (length == 1 and repeats == 2 == size):
            return decimals[:start], block
    return decimals, ""
