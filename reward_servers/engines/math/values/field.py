"""Rational identities tested in a prime field (Schwartz 1980, Zippel 1979).

A rational function over Q(i), with pi and e as further variables, is evaluated at seeded points of
GF(p), p = 2^255 - 19.  Two different values prove two different functions.  Equal values at each of
several points leave a chance of less than degree / p for a difference, some 1e-70 at any degree
that fits into an answer.  Nothing is expanded, so (x+1)^3000 costs a dozen multiplications.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Const, Head, Node, Num, Sym, heads
from reward_servers.engines.math.values.exact import UndefinedValueError, exact

PRIME = 2**255 - 19
_IMAGINARY = pow(2, (PRIME - 1) // 4, PRIME)  # 2 is no square modulo p = 5 (mod 8)
_MAX_EXPONENT = 10**12
POINTS = 3


class NotRationalError(Exception):
    """The expression is no rational function of its variables."""


@lru_cache(maxsize=4096)
def point(name: str, round_: int) -> int:
    """The value of a variable in a round; depends on nothing but its name."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(f"{round_}:{name}".encode(), digest_size=31).digest(), "big") + 2


def value_at(node: Node, round_: int) -> int:
    """The value of `node` modulo the prime.

    Raises:
        NotRationalError: An operation has no meaning in the field.
        ZeroDivisionError: A denominator vanishes at this point.
    """
    match node:
        case Num(value):
            if value.denominator == 1:
                return value.numerator % PRIME
            return value.numerator % PRIME * pow(value.denominator, -1, PRIME) % PRIME
        case Sym(name):
            return point(name, round_)
        case Const("i"):
            return _IMAGINARY
        case Const("pi" | "e" as name):
            return point("const " + name, round_)
        case Call(head, args):
            return _apply(head, args, round_)
        case _:
            raise NotRationalError


def _apply(head: Head, args: tuple[Node, ...], round_: int) -> int:
    rule = _RULES.get(head)
    if rule is not None:
        return rule(args, round_)
    if head in _CONSTANT_ONLY:
        return _constant(Call(head, args))
    raise NotRationalError


def _product(args: tuple[Node, ...], round_: int) -> int:
    product = 1
    for arg in args:
        product = product * value_at(arg, round_) % PRIME
    return product


def _inverse(value: int) -> int:
    if value == 0:
        raise ZeroDivisionError
    return pow(value, -1, PRIME)


def _power(base: Node, exponent: Node, round_: int) -> int:
    try:
        power = exact(exponent, 64)
    except (LimitExceededError, UndefinedValueError):
        raise NotRationalError from None
    if power is None or power.denominator != 1 or abs(power) > _MAX_EXPONENT:
        raise NotRationalError
    value = value_at(base, round_)
    if power < 0:
        return pow(_inverse(value), -power.numerator, PRIME)
    return pow(value, power.numerator, PRIME)


def _constant(node: Node) -> int:
    try:
        value = exact(node, 20_000)
    except (LimitExceededError, UndefinedValueError):
        raise NotRationalError from None
    if value is None:
        raise NotRationalError
    return value_at(Num(value), 0)


def same(left: Node, right: Node) -> bool | None:
    """Whether two rational functions are identical; None where the test does not apply."""
    agreed = 0
    for round_ in range(POINTS + 5):
        try:
            if value_at(left, round_) != value_at(right, round_):
                return False
        except ZeroDivisionError:
            continue
        except (NotRationalError, ValueError):
            return None
        agreed += 1
        if agreed == POINTS:
            return True
    return None


def proportional(left: Node, right: Node) -> bool | None:
    """Whether `left = c * right` for a constant c other than zero; None where the test does not apply."""
    ratios: set[int] = set()
    checked = 0
    for round_ in range(POINTS + 5):
        try:
            a, b = value_at(left, round_), value_at(right, round_)
        except ZeroDivisionError:
            continue
        except (NotRationalError, ValueError):
            return None
        if a == 0 and b == 0:
            return None
        if a == 0 or b == 0:
            return False
        ratios.add(a * pow(b, -1, PRIME) % PRIME)
        checked += 1
        if len(ratios) > 1:
            return False
        if checked == POINTS:
            return True
    return None


_CONSTANT_ONLY = heads("fact binom perm fact2 gcd lcm sqrt root abs floor ceil rem max min")
_RULES: dict[Head, Callable[[tuple[Node, ...], int], int]] = {
    Head.ADD: lambda args, r: sum(value_at(a, r) for a in args) % PRIME,
    Head.MUL: _product,
    Head.NEG: lambda args, r: -value_at(args[0], r) % PRIME,
    Head.DIV: lambda args, r: value_at(args[0], r) * _inverse(value_at(args[1], r)) % PRIME,
    Head.PERCENT: lambda args, r: value_at(args[0], r) * pow(100, -1, PRIME) % PRIME,
    Head.DEG: lambda args, r: value_at(args[0], r) * point("const pi", r) * pow(180, -1, PRIME) % PRIME,
    Head.POW: lambda args, r: _power(args[0], args[1], r),
}
