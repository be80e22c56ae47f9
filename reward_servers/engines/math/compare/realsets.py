"""Subsets of the real line as sorted disjoint intervals, read from intervals, sets and inequalities."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from reward_servers.engines.math.nodes import (
    INFINITY,
    Call,
    Const,
    Head,
    Interval,
    Kind,
    Node,
    Num,
    Rel,
    Seq,
    Sym,
    Text,
    has_const,
    neg,
    substitute,
    symbols,
)
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values.exact import exact
from reward_servers.engines.math.values.scalars import sign_of

_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_MINUS_INFINITY = Call(Head.NEG, (INFINITY,))


_HALF_LINES = {
    "R^+": ">",
    "R_+": ">",
    "R^-": "<",
    "R_-": "<",
    "R_>0": ">",
    "R_<0": "<",
    "R_>=0": ">=",
    "R_<=0": "<=",
    "R^*": "!=",
}


class Piece(NamedTuple):
    """One interval; a point is a closed interval of length zero."""

    lo: Node
    lo_closed: bool
    hi: Node
    hi_closed: bool


class NotRealError(Exception):
    """The node is no subset of the real line that can be written as intervals."""


Pieces = list[Piece]
LINE: Pieces = [Piece(_MINUS_INFINITY, False, INFINITY, False)]


class Reader:
    """Turns nodes into pieces; collects the names of the variables that were constrained."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.names: set[Node] = set()

    def read(self, node: Node) -> Pieces:
        """The pieces of a node, sorted and merged.

        Raises:
            NotRealError: It is no such set, or its ends cannot be ordered.
        """
        return self._merge(self._read(node))

    def _read(self, node: Node) -> Pieces:
        match node:
            case Const("R"):
                return list(LINE)
            case Const("empty"):
                return []
            case Const(name) if name in _HALF_LINES:
                op = _HALF_LINES[name]
                return self._half(op, Num(Fraction(0)))
            case Interval(lo, hi, lo_closed, hi_closed):
                return self._as_pieces(lo, lo_closed, hi, hi_closed)
            case Seq(Kind.TUPLE | Kind.SQUARE as kind, (lo, hi)):
                return self._as_pieces(lo, kind is Kind.SQUARE, hi, kind is Kind.SQUARE)
            case Seq(Kind.SET, items):
                if any(isinstance(i, Seq | Rel | Interval) for i in items):
                    raise NotRealError
                return [Piece(i, True, i, True) for i in items]
            case Seq(Kind.OR | Kind.LIST as kind, items):
                return self._several(kind, items)
            case Rel():
                return self._relation(node)
            case Call(Head.UNION, args):
                return [p for a in args for p in self._read(a)]
            case Call(Head.INTERSECT, (a, b)):
                return self._intersect(self.read(a), self.read(b))
            case Call(Head.SETMINUS, (a, b)):
                return self._intersect(self.read(a), self._complement(self.read(b)))
            case Call(Head.ADD, (a, Call(Head.NEG, (b,)))) if has_const(a, "R") or isinstance(b, Seq):
                return self._intersect(self.read(a), self._complement(self.read(b)))
            case Call(Head.BUILDER, (element, condition)):
                return self._builder(element, condition)
            case _:
                raise NotRealError

    def _as_pieces(self, lo: Node, lo_closed: bool, hi: Node, hi_closed: bool) -> Pieces:
        pieces = self._piece(lo, lo_closed, hi, hi_closed)
        if not pieces or (lo_closed and lo == _MINUS_INFINITY) or (hi_closed and hi == INFINITY):
            # (3, 1] and [0, ∞] are no intervals: they equal nothing but what is written the same.
            raise NotRealError
        return pieces

    def _builder(self, element: Node, condition: Node) -> Pieces:
        if isinstance(element, Rel) and element.ops == ("in",):
            pieces = self._intersect(self.read(element.terms[1]), self.read(condition))
            if self.names - {element.terms[0]}:
                raise NotRealError
            return pieces
        if not isinstance(element, Sym):
            raise NotRealError
        pieces = self._read(condition)
        if self.names - {element}:
            raise NotRealError
        return pieces

    def _piece(self, lo: Node, lo_closed: bool, hi: Node, hi_closed: bool) -> Pieces:
        order = self._order(lo, hi)
        if order > 0 or (order == 0 and not (lo_closed and hi_closed)):
            return []
        return [Piece(lo, lo_closed and lo != _MINUS_INFINITY, hi, hi_closed and hi != INFINITY)]

    def _several(self, kind: Kind, items: tuple[Node, ...]) -> Pieces:
        sets = [self.read(i) for i in items if isinstance(i, Rel)]
        if len(sets) != len(items):
            raise NotRealError
        if kind is Kind.LIST:
            # "x > 1, x < 3" holds both; "x < 1, x > 3" can only mean one of them; "x≠1, x≠2" both.
            meet = sets[0]
            for next_set in sets[1:]:
                meet = self._intersect(meet, next_set)
            if meet:
                return meet
        return [p for s in sets for p in s]

    # Inequalities ----------------------------------------------------------------------------

    def _relation(self, rel: Rel) -> Pieces:
        if rel.ops == ("in",):
            if not (_atom(rel.terms[0]) or isinstance(rel.terms[0], Text)):
                raise NotRealError
            self.names.add(rel.terms[0])
            return self._read(rel.terms[1])
        if any(op not in _FLIP for op in rel.ops):
            raise NotRealError
        pieces = list(LINE)
        for op, left, right in zip(rel.ops, rel.terms, rel.terms[1:], strict=False):
            pieces = self._intersect(pieces, self._merge(self._simple(op, left, right)))
        return pieces

    def _simple(self, op: str, left: Node, right: Node) -> Pieces:
        if _constant(left) and not _constant(right):
            left, right, op = right, left, _FLIP[op]
        if _constant(left) or not (_constant(right) or _atom(left)):
            left, right, op = self._linear(left, right, op)
        elif not _atom(left):
            if isinstance(left, Call) and left.head == Head.ABS:
                return self._absolute(op, left.args[0], right)
            left, right, op = self._linear(left, right, op)
        if symbols(right) & symbols(left):
            raise NotRealError
        self.names.add(left)
        return self._half(op, right)

    def _half(self, op: str, bound: Node) -> Pieces:
        if op in ("<", "<="):
            return [Piece(_MINUS_INFINITY, False, bound, op == "<=" and bound != INFINITY)]
        if op in (">", ">="):
            return [Piece(bound, op == ">=" and bound != _MINUS_INFINITY, INFINITY, False)]
        point = [Piece(bound, True, bound, True)]
        return point if op == "=" else self._complement(point)

    def _absolute(self, op: str, inner: Node, bound: Node) -> Pieces:
        if op in ("<", "<="):
            return self._intersect(
                self._merge(self._simple(op, inner, bound)), self._merge(self._simple(_FLIP[op], inner, neg(bound)))
            )
        if op in (">", ">="):
            return self._simple(op, inner, bound) + self._simple(_FLIP[op], inner, neg(bound))
        points = self._simple("=", inner, bound) + self._simple("=", inner, neg(bound))
        return points if op == "=" else self._complement(self._merge(points))

    def _linear(self, left: Node, right: Node, op: str) -> tuple[Node, Node, str]:
        """Solve `a*x + b op c*x + d` with rational coefficients for its only variable."""
        names = symbols(left) | symbols(right)
        if len(names) != 1:
            raise NotRealError
        name = Sym(next(iter(names)))
        difference = Call(Head.ADD, (left, neg(right)))
        values = []
        for at in (0, 1, 2, 5, -3):
            try:
                value = exact(substitute(difference, {name: Num(Fraction(at))}), 4_000)
            except ArithmeticError:
                raise NotRealError from None
            if value is None:
                raise NotRealError
            values.append(value)
        offset, slope = values[0], values[1] - values[0]
        if slope == 0 or any(slope * at + offset != v for at, v in zip((0, 1, 2, 5, -3), values, strict=True)):
            raise NotRealError
        return name, Num(-offset / slope), op if slope > 0 else _FLIP[op]

    # Algebra of pieces -----------------------------------------------------------------------

    def _order(self, a: Node, b: Node) -> int:
        if a == b:
            return 0
        if a in (INFINITY, _MINUS_INFINITY) or b in (INFINITY, _MINUS_INFINITY):
            rank = {INFINITY: 1, _MINUS_INFINITY: -1}
            return (rank.get(a, 0) > rank.get(b, 0)) - (rank.get(a, 0) < rank.get(b, 0))
        if symbols(a) or symbols(b):
            raise NotRealError
        sign = sign_of(Call(Head.ADD, (a, neg(b))), self.limits)
        if sign is None:
            raise NotRealError
        return sign

    def _merge(self, pieces: Pieces) -> Pieces:
        if len(pieces) > 400:
            raise NotRealError
        ordered: Pieces = []
        for piece in pieces:
            position = len(ordered)
            while position and self._before(piece, ordered[position - 1]):
                position -= 1
            ordered.insert(position, piece)
        merged: Pieces = []
        for piece in ordered:
            if merged and self._touch(merged[-1], piece):
                last = merged[-1]
                order = self._order(piece.hi, last.hi)
                hi, closed = (
                    (piece.hi, piece.hi_closed)
                    if order > 0
                    else (last.hi, last.hi_closed or (order == 0 and piece.hi_closed))
                )
                merged[-1] = Piece(last.lo, last.lo_closed, hi, closed)
            else:
                merged.append(piece)
        return merged

    def _before(self, a: Piece, b: Piece) -> bool:
        order = self._order(a.lo, b.lo)
        return order < 0 or (order == 0 and a.lo_closed and not b.lo_closed)

    def _touch(self, a: Piece, b: Piece) -> bool:
        order = self._order(b.lo, a.hi)
        return order < 0 or (order == 0 and (a.hi_closed or b.lo_closed))

    def _complement(self, pieces: Pieces) -> Pieces:
        result: Pieces = []
        lo: Node = _MINUS_INFINITY
        closed = False
        for piece in pieces:
            result += self._piece(lo, closed, piece.lo, not piece.lo_closed)
            lo, closed = piece.hi, not piece.hi_closed
        if lo != INFINITY:
            result += self._piece(lo, closed, INFINITY, False)
        return result

    def _intersect(self, a: Pieces, b: Pieces) -> Pieces:
        result: Pieces = []
        for p in a:
            for q in b:
                order = self._order(p.lo, q.lo)
                lo, lo_closed = (p.lo, p.lo_closed) if order > 0 else (q.lo, q.lo_closed)
                if order == 0:
                    lo_closed = p.lo_closed and q.lo_closed
                order = self._order(p.hi, q.hi)
                hi, hi_closed = (p.hi, p.hi_closed) if order < 0 else (q.hi, q.hi_closed)
                if order == 0:
                    hi_closed = p.hi_closed and q.hi_closed
                result += self._piece(lo, lo_closed, hi, hi_closed)
        return result

    def equal(self, a: Pieces, b: Pieces, is_same: Callable[[Node, Node], bool]) -> bool:
        """Whether two merged lists are the same set; `is_same` compares two ends."""
        return len(a) == len(b) and all(
            p.lo_closed == q.lo_closed and p.hi_closed == q.hi_closed and is_same(p.lo, q.lo) and is_same(p.hi, q.hi)
            for p, q in zip(a, b, strict=True)
        )


def _constant(node: Node) -> bool:
    return not symbols(node) and not any(isinstance(n, Call) and n.head == Head.APPLY for n in (node,))


def _atom(node: Node) -> bool:
    return isinstance(node, Sym) or (isinstance(node, Call) and node.head == Head.APPLY)


def is_set_like(node: Node) -> bool:
    """Whether the node can only be read as a set of reals."""
    match node:
        case Interval() | Const("R"):
            return True
        case Const(name):
            return name in _HALF_LINES
        case Call(Head.UNION | Head.INTERSECT | Head.SETMINUS | Head.BUILDER, _):
            return True
        case Call(Head.ADD, (a, Call(Head.NEG, (b,)))):
            return is_set_like(a) or isinstance(b, Seq)
        case Rel(ops, _):
            return any(op in ("<", ">", "<=", ">=", "!=", "in") for op in ops)
        case Seq(Kind.OR | Kind.LIST, items):
            return bool(items) and all(is_set_like(i) and isinstance(i, Rel) for i in items)
        case _:
            return False
