"""Which variables stand for integers, and the points at which such expressions are compared.

Three things declare an integer: the family it is declared in (`k in Z`), the problem's own words, and usage in the
gold.  Usage in the answer counts for nothing that could be chosen freely: only a letter that is usual for integers,
in the exponent of a negative number, where no other value has a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice, product

from reward_servers.engines.math.nodes import Call, Const, Head, Node, Num, heads, heads_in, symbols, walk

_LETTERS = re.compile(r"[jklmnKLMN](?:_\w+)?'?")
_WHOLE_ARGUMENTS = heads("fact fact2 binom perm")
_STEPS = heads("floor ceil rem")
_WAVES = heads("sin cos tan cot sec csc")
_TELLING = _WHOLE_ARGUMENTS | _STEPS | _WAVES | heads("pow")
"""Without one of these, usage declares nothing."""
_POINTS = 220
_LARGEST = 10**7


def integer_names(gold: Node, answer: Node, declared: frozenset[str]) -> frozenset[str]:
    """Names of the variables that stand for integers."""
    names = {n for n in symbols(gold) | symbols(answer) if n in declared or n.endswith(("∈Z", "∈N"))}
    if _TELLING.isdisjoint(heads_in(gold) | heads_in(answer)):
        return frozenset(names)
    names |= set(_used_as_integers(gold))
    names |= {n for n in _exponents_of_negatives(answer) if _LETTERS.fullmatch(n)}
    return frozenset(names)


def _used_as_integers(gold: Node) -> Iterator[str]:
    yield from _exponents_of_negatives(gold)
    for node in walk(gold):
        if not isinstance(node, Call):
            continue
        if node.head in _WHOLE_ARGUMENTS:
            yield from symbols(node)
        elif node.head in _STEPS or (node.head in _WAVES and _turns(node.args[0])):
            yield from (n for n in symbols(node) if _LETTERS.fullmatch(n))


def _exponents_of_negatives(node: Node) -> Iterator[str]:
    for part in walk(node):
        if isinstance(part, Call) and part.head is Head.POW and _is_negative(part.args[0]):
            yield from symbols(part.args[1])


def _is_negative(node: Node) -> bool:
    if isinstance(node, Call) and node.head is Head.NEG:
        return not symbols(node)
    return isinstance(node, Num) and node.value < 0


def _turns(node: Node) -> bool:
    """Whether an angle is measured in multiples of pi."""
    return any(isinstance(part, Const) and part.name == "pi" for part in walk(node))


# Points -----------------------------------------------------------------------------------------


def integer_points(names: tuple[str, ...], constants: tuple[int, ...]) -> Iterator[dict[str, Fraction]]:
    """Points at which expressions of integer variables are compared, the telling ones first."""
    values = _integers(constants)
    yield from _points(names, values)


def step_points(names: tuple[str, ...], constants: tuple[int, ...]) -> Iterator[dict[str, Fraction]]:
    """Points at which step functions of real variables jump: integers and simple fractions."""
    whole = _integers(constants)
    parts = [Fraction(n, d) for d in (2, 3, 4, 5, 6, 7, 8, 10) for n in (1, -1, d + 1, 2 * d + 1, 3 * d - 1)]
    yield from _points(names, (*whole[:60], *parts, *whole[60:]))


def _points(names: tuple[str, ...], values: tuple[Fraction, ...]) -> Iterator[dict[str, Fraction]]:
    if len(names) == 1:
        yield from ({names[0]: value} for value in values)
        return
    near = values[:6] if len(names) == 2 else values[:3]
    grid = product(near, repeat=len(names))
    yield from (dict(zip(names, point, strict=True)) for point in islice(grid, 64))
    for spread in (11, 29, len(values)):
        for step in range(40):
            yield {
                name: values[(step * (5 + 2 * k) + k * k) % min(spread, len(values))] for k, name in enumerate(names)
            }


@lru_cache(maxsize=256)
def _integers(constants: tuple[int, ...]) -> tuple[Fraction, ...]:
    """Small integers of both signs, then squares and powers, and the neighbours of multiples of the constants."""
    values = [*range(1, 13), 0, *range(13, 31), *range(-1, -7, -1)]
    values += [v for c in constants for k in (1, 2, 3, -1) for v in (k * c - 1, k * c, k * c + 1)]
    values += [k * k for k in range(6, 13)]
    values += [b**k for b in (2, 3, 10, 5, 7) for k in range(2, 12) if 30 < b**k <= 10**5]
    values += [b**k + s for b in (2, 3, 10) for k in range(5, 10) for s in (-1, 1) if b**k <= 10**5]
    values += range(31, 130)
    distinct = dict.fromkeys(v for v in values if abs(v) <= _LARGEST)
    return tuple(Fraction(v) for v in islice(distinct, _POINTS))


def constants_of(*nodes: Node) -> tuple[int, ...]:
    """Numerators and denominators that an expression mentions, where they are no small ones."""
    constants = {
        abs(part)
        for node in nodes
        for n in walk(node)
        if isinstance(n, Num)
        for part in (n.value.numerator, n.value.denominator)
    }
    return tuple(sorted(v for v in constants if 12 < v <= _LARGEST))[:8]
