"""Exact rational values, with the size of every result estimated before it is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Head, Node, Num, Quantity

_ONE = Fraction(1)


class UndefinedValueError(ArithmeticError):
    """The expression has no value (a division by zero, an odd factorial)."""


def bits(value: Fraction) -> int:
    """Bits of numerator and denominator together."""
    return value.numerator.bit_length() + value.denominator.bit_length()


def exact(node: Node, max_bits: int) -> Fraction | None:
    """The value of a constant rational expression, None where it is not rational or not constant.

    Raises:
        LimitExceededError: An intermediate result would pass `max_bits`.
        UndefinedValueError: The expression has no value.
    """
    match node:
        case Num(value):
            return value
        case Quantity(value, _):
            return None
        case Call(head, args):
            rule = _RULES.get(head)
            if rule is None:
                return None
            values: list[Fraction] = []
            for arg in args:
                inner = exact(arg, max_bits)
                if inner is None:
                    return None
                values.append(inner)
            return rule(values, max_bits)
        case _:
            return None


def _guard(estimate: float, max_bits: int) -> None:
    if estimate > max_bits:
        size = f"{estimate:.3g}" if estimate < 1e300 else "more than 1e300"
        raise LimitExceededError("bits", f"a number of about {size} bits")


def _add(values: Sequence[Fraction], max_bits: int) -> Fraction:
    _guard(sum(map(bits, values)), max_bits * 4)
    return sum(values, Fraction(0))


def _mul(values: Sequence[Fraction], max_bits: int) -> Fraction:
    _guard(sum(map(bits, values)), max_bits * 4)
    return math.prod(values, start=_ONE)


def _div(values: Sequence[Fraction], max_bits: int) -> Fraction:
    if values[1] == 0:
        raise UndefinedValueError("division by zero")
    return values[0] / values[1]


def _pow(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    base, exponent = values
    if exponent.denominator != 1:
        root = _root([base, Fraction(exponent.denominator)], max_bits) if exponent.denominator < 1000 else None
        return None if root is None else _pow([root, Fraction(exponent.numerator)], max_bits)
    if base == 0 and exponent <= 0:
        raise UndefinedValueError("zero to a power that is not positive")
    if base in (0, 1):
        return base
    if base == -1:
        return Fraction(-1 if exponent.numerator % 2 else 1)
    _guard(bits(base) * abs(exponent.numerator) if exponent.numerator.bit_length() < 64 else float("inf"), max_bits)
    return base**exponent.numerator


def _root(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    radicand, index = values
    if index.denominator != 1 or index <= 0 or index > 4096:
        return None
    degree = index.numerator
    negative = radicand < 0
    if negative and degree % 2 == 0:
        return None
    top, below = _integer_root(abs(radicand.numerator), degree), _integer_root(radicand.denominator, degree)
    if top is None or below is None:
        return None
    return Fraction(-top if negative else top, below)


def _integer_root(value: int, degree: int) -> int | None:
    if value < 2 or degree == 1:
        return value
    if degree == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle - 1
    return low if low**degree == value else None


def _whole(value: Fraction) -> int:
    if value.denominator != 1 or value < 0:
        raise UndefinedValueError("a factorial of what is no natural number")
    return value.numerator


def _fact(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    if values[0].denominator != 1:
        return None
    n = _whole(values[0])
    _guard(n * max(1, n.bit_length()), max_bits)
    return Fraction(math.factorial(n))


def _fact2(values: Sequence[Fraction], max_bits: int) -> Fraction:
    n = _whole(values[0])
    _guard(n * max(1, n.bit_length()) / 2, max_bits)
    return Fraction(math.prod(range(n, 0, -2)))


def _binom(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    if any(v.denominator != 1 or v < 0 for v in values):
        return None
    n, k = values[0].numerator, values[1].numerator
    if k > n:
        return Fraction(0)
    _guard(min(k, n - k) * max(1, n.bit_length()), max_bits)
    return Fraction(math.comb(n, k))


def _perm(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    if any(v.denominator != 1 or v < 0 for v in values):
        return None
    n, k = values[0].numerator, values[1].numerator
    _guard(k * max(1, n.bit_length()), max_bits)
    return Fraction(math.perm(n, k))


def _gcd(values: Sequence[Fraction], max_bits: int) -> Fraction:
    return Fraction(math.gcd(*(v.numerator for v in values)), math.lcm(*(v.denominator for v in values)))


def _lcm(values: Sequence[Fraction], max_bits: int) -> Fraction:
    return Fraction(math.lcm(*(v.numerator for v in values)), math.gcd(*(v.denominator for v in values)))


def _logb(values: Sequence[Fraction], max_bits: int) -> Fraction | None:
    """A logarithm that is a whole number, which decides on which side of a step it stands."""
    power, base = values
    if power <= 0 or base <= 0 or base == 1:
        return None
    if base.denominator != 1 or power.denominator != 1:
        return None
    exponent, remaining = 0, power.numerator
    while remaining % base.numerator == 0:
        exponent, remaining = exponent + 1, remaining // base.numerator
    return Fraction(exponent) if remaining == 1 else None


def _rem(values: Sequence[Fraction], max_bits: int) -> Fraction:
    if values[1] == 0:
        raise UndefinedValueError("a remainder by zero")
    return values[0] - values[1] * math.floor(values[0] / values[1])


_RULES: dict[Head, Callable[[Sequence[Fraction], int], Fraction | None]] = {
    Head.ADD: _add,
    Head.MUL: _mul,
    Head.DIV: _div,
    Head.POW: _pow,
    Head.ROOT: _root,
    Head.FACT: _fact,
    Head.FACT2: _fact2,
    Head.BINOM: _binom,
    Head.PERM: _perm,
    Head.GCD: _gcd,
    Head.LCM: _lcm,
    Head.REM: _rem,
    Head.LOGB: _logb,
    Head.NEG: lambda v, _: -v[0],
    Head.SQRT: lambda v, m: _root([v[0], Fraction(2)], m),
    Head.ABS: lambda v, _: abs(v[0]),
    Head.PERCENT: lambda v, _: v[0] / 100,
    Head.FLOOR: lambda v, _: Fraction(math.floor(v[0])),
    Head.CEIL: lambda v, _: Fraction(math.ceil(v[0])),
    Head.MAX: lambda v, _: max(v),
    Head.MIN: lambda v, _: min(v),
    Head.SIGN: lambda v, _: Fraction((v[0] > 0) - (v[0] < 0)),
}
