"""Normal forms for a reader: numbers written out, small polynomials and rational functions expanded.

Comparison never needs these (see `_field`); they make a judgement readable.  Anything large is left
as it was written.
"""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Const, Head, Matrix, Node, Num, Quantity, Rel, Seq, Sym, rebuild
from reward_servers.engines.math.normal.show import show
from reward_servers.engines.math.values.exact import UndefinedValueError, exact

Monomial = tuple[tuple[str, int], ...]
Poly = dict[Monomial, Fraction]

_MAX_TERMS = 60
_MAX_POWER = 24
_MAX_BITS = 1200


class _TooLargeError(Exception):
    """Not a polynomial, or not a small one."""


def normal_form(node: Node) -> str:
    """The node as text, its scalars in normal form."""
    return show(_normal(node, 0))


def _normal(node: Node, depth: int) -> Node:
    if isinstance(node, Num | Sym | Const) or depth > 6:
        return node
    if isinstance(node, Seq | Rel | Matrix | Quantity):
        return rebuild(node, lambda child: _normal(child, depth + 1))
    if not isinstance(node, Call):
        return node
    if node.head in (Head.PERCENT, Head.DEG, Head.RATIO, Head.CLOCK, Head.BASE, Head.MOD):
        return rebuild(node, lambda child: _normal(child, depth + 1))
    try:
        value = exact(node, _MAX_BITS)
    except (LimitExceededError, UndefinedValueError):
        return node
    if value is not None:
        return Num(value)
    try:
        return _sum_of_terms(_expand(node))
    except (_TooLargeError, LimitExceededError, UndefinedValueError):
        return rebuild(node, lambda child: _normal(child, depth + 1))


def _expand(node: Node) -> Poly:
    match node:
        case Num(value):
            return {(): value} if value else {}
        case Sym(name) | Const("pi" | "e" as name):
            return {((name, 1),): Fraction(1)}
        case Call(Head.ADD, args):
            return _sum([_expand(a) for a in args])
        case Call(Head.NEG, (inner,)):
            return {m: -c for m, c in _expand(inner).items()}
        case Call(Head.MUL, args):
            product: Poly = {(): Fraction(1)}
            for arg in args:
                product = _times(product, _expand(arg))
            return product
        case Call(Head.DIV, (top, below)):
            divisor = exact(below, _MAX_BITS)
            if not divisor:
                raise _TooLargeError
            return {m: c / divisor for m, c in _expand(top).items()}
        case Call(Head.POW, (base, Num(power))) if power.denominator == 1 and 0 <= power <= _MAX_POWER:
            result: Poly = {(): Fraction(1)}
            factor = _expand(base)
            for _ in range(power.numerator):
                result = _times(result, factor)
            return result
        case _:
            constant = exact(node, _MAX_BITS)
            if constant is None:
                raise _TooLargeError
            return {(): constant}


def _sum(polys: list[Poly]) -> Poly:
    total: Poly = {}
    for poly in polys:
        for monomial, coefficient in poly.items():
            total[monomial] = total.get(monomial, Fraction(0)) + coefficient
    return {m: c for m, c in total.items() if c}


def _times(a: Poly, b: Poly) -> Poly:
    if len(a) * len(b) > 4 * _MAX_TERMS:
        raise _TooLargeError
    product: Poly = {}
    for m, c in a.items():
        for n, d in b.items():
            powers = dict(m)
            for name, power in n:
                powers[name] = powers.get(name, 0) + power
            key = tuple(sorted(powers.items()))
            product[key] = product.get(key, Fraction(0)) + c * d
    if len(product) > _MAX_TERMS:
        raise _TooLargeError
    return {m: c for m, c in product.items() if c}


def _sum_of_terms(poly: Poly) -> Node:
    """Terms by falling degree, then by name."""
    if not poly:
        return Num(Fraction(0))
    terms: list[Node] = []
    for monomial, coefficient in sorted(poly.items(), key=lambda item: (-sum(p for _, p in item[0]), item[0])):
        factors: list[Node] = [] if coefficient == 1 and monomial else [Num(coefficient)]
        for name, power in monomial:
            factors.append(Sym(name) if power == 1 else Call(Head.POW, (Sym(name), Num(Fraction(power)))))
        terms.append(factors[0] if len(factors) == 1 else Call(Head.MUL, tuple(factors)))
    return terms[0] if len(terms) == 1 else Call(Head.ADD, tuple(terms))
