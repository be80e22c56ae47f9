"""Structure to normal form before comparison: plus-minus, conditions, matrices, nested lists."""

from __future__ import annotations

from itertools import product

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import (
    MINUS_ONE,
    ONE,
    Call,
    Head,
    Kind,
    Matrix,
    Node,
    Quantity,
    Rel,
    Seq,
    Sym,
    children,
    has_head,
    heads,
    neg,
    rebuild,
    walk,
)
from reward_servers.engines.math.normal.conditions import drop_conditions
from reward_servers.engines.math.policy import Limits

_PM = heads("pm mp")
_MP = heads("mp")
_TRANSPOSE = Sym("T")


def normal(node: Node, limits: Limits) -> Node:
    """The normal form of a whole answer."""
    node = _points(drop_conditions(node))
    node = _distribute_modulus(node)
    node = _amounts(node)
    node = _matrices(node)
    if isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR, Kind.SET):
        items = [e for i in node.items for e in _expand(_element(i, limits))]
        if len(items) > limits.items:
            raise LimitExceededError("items", f"{len(items)} elements")
        return Seq(node.kind, tuple(items))
    if isinstance(node, Rel) and node.ops == ("=",) and has_head(node.terms[1], _PM):
        values = _expand(_element(node.terms[1], limits))
        return Rel(("=",), (node.terms[0], Seq(Kind.LIST, tuple(values))))
    expanded = [_points(n) for n in _expand(node)]
    return node if expanded == [node] else Seq(Kind.LIST, tuple(expanded))


def _points(node: Node) -> Node:
    """`A(1,2)` is the point, `-(1,2)` and `3(1,2)` the vectors, `[1, 2]^T` the column; also in a list."""
    if isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR):
        return Seq(node.kind, tuple(map(_points, node.items)))
    if isinstance(node, Call) and node.head == Head.NEG and isinstance(node.args[0], Seq) and _is_tuple(node.args[0]):
        return Seq(node.args[0].kind, tuple(map(neg, node.args[0].items)))
    if not (isinstance(node, Call) and len(node.args) == 2):
        return node
    first, second = node.args
    if node.head == Head.MUL and isinstance(second, Seq) and _is_tuple(second):
        if isinstance(first, Sym) and first.name[:1].isupper():
            return second
        if not any(isinstance(n, Seq) for n in walk(first)):
            return Seq(second.kind, tuple(Call(Head.MUL, (first, i)) for i in second.items))
    if node.head == Head.POW and isinstance(first, Seq) and _is_tuple(first) and second == _TRANSPOSE:
        return Matrix(tuple((i,) for i in first.items))
    return node


def _is_tuple(node: Node) -> bool:
    return isinstance(node, Seq) and node.kind in (Kind.TUPLE, Kind.SQUARE, Kind.ANGLE)


def _amounts(node: Node) -> Node:
    """`2 hours 30 minutes` is a list of amounts, not a product."""
    if isinstance(node, Quantity) and isinstance(node.value, Call) and node.value.head == Head.MUL:
        first, *factors = node.value.args
        if isinstance(first, Quantity) and len(factors) == 1:
            return Seq(Kind.LIST, (first, Quantity(factors[0], node.unit)))
    return node


def _element(node: Node, limits: Limits) -> Node:
    return normal(node, limits) if isinstance(node, Rel) else node


def _expand(node: Node) -> list[Node]:
    """Write out plus-minus; a list (of the values of `x = ±2`) opens into its elements."""
    if isinstance(node, Seq) and node.kind == Kind.LIST:
        return [e for i in node.items for e in _expand(i)]
    if (
        isinstance(node, Rel)
        and node.ops == ("=",)
        and isinstance(node.terms[1], Seq)
        and node.terms[1].kind in (Kind.LIST, Kind.OR)
    ):
        return [Rel(("=",), (node.terms[0], v)) for v in node.terms[1].items]
    if not has_head(node, _PM):
        return [node]
    count = _count(node)
    # A minus-plus is tied to its plus-minus; without one every sign is free.
    tied = has_head(node, _MP)
    if count > 6:
        raise AnswerSyntaxError("too many plus-minus signs", 0)
    patterns = [(True,) * count, (False,) * count] if tied else list(product((True, False), repeat=count))
    return [_signed(node, iter(pattern).__next__) for pattern in patterns]


def _count(node: Node) -> int:
    total = 0
    stack = [node]
    while stack:
        top = stack.pop()
        total += isinstance(top, Call) and top.head in _PM
        stack.extend(children(top))
    return total


def _signed(node: Node, draw: object) -> Node:
    assert callable(draw)
    if isinstance(node, Call) and node.head in _PM:
        args = tuple(_signed(a, draw) for a in node.args)
        positive = draw() == (node.head == Head.PM)
        value = args[-1] if positive else neg(args[-1])
        return value if len(args) == 1 else Call(Head.ADD, (args[0], value))
    return rebuild(node, lambda child: _signed(child, draw))


def _distribute_modulus(node: Node) -> Node:
    """`x ≡ 1, 4 (mod 5)`: the modulus at the end is that of every residue."""
    if not (
        isinstance(node, Seq)
        and node.kind in (Kind.LIST, Kind.OR)
        and isinstance(node.items[-1], Call)
        and node.items[-1].head == Head.MOD
    ):
        return node
    modulus = node.items[-1].args[1]
    return Seq(
        node.kind,
        tuple(i if isinstance(i, Call) and i.head == Head.MOD else Call(Head.MOD, (i, modulus)) for i in node.items),
    )


# Matrices -------------------------------------------------------------------------------------


def _matrices(node: Node) -> Node:
    """Sums, differences and products of written-out matrices as one matrix."""
    if isinstance(node, Matrix) or not _mentions_matrix(node):
        return node
    return _evaluated(node)


def _mentions_matrix(node: Node) -> bool:
    if isinstance(node, Matrix):
        return True
    return (
        isinstance(node, Call)
        and node.head in (Head.ADD, Head.MUL, Head.NEG, Head.DIV, Head.POW, Head.DET)
        and any(map(_mentions_matrix, node.args))
    )


def _evaluated(node: Node) -> Node:
    if not isinstance(node, Call):
        return node
    args = tuple(_evaluated(a) for a in node.args)
    if node.head == Head.DET and isinstance(args[0], Matrix):
        return _determinant(args[0]) or node
    matrices = [a for a in args if isinstance(a, Matrix)]
    if not matrices:
        return Call(node.head, args)
    if node.head == Head.NEG:
        return _scaled(MINUS_ONE, matrices[0])
    if node.head == Head.DIV and isinstance(args[0], Matrix):
        return _scaled(Call(Head.DIV, (ONE, args[1])), args[0])
    if node.head == Head.ADD and len(matrices) == len(args) and len({_shape(m) for m in matrices}) == 1:
        return _added(matrices)
    if node.head == Head.MUL and len(args) == 2:
        return _multiplied(args[0], args[1]) or Call(Head.MUL, args)
    if node.head == Head.POW and args[1] == _TRANSPOSE and isinstance(args[0], Matrix):
        return Matrix(tuple(zip(*args[0].rows, strict=True)))
    return Call(node.head, args)


def _shape(matrix: Matrix) -> tuple[int, int]:
    return len(matrix.rows), len(matrix.rows[0])


def _scaled(factor: Node, matrix: Matrix) -> Matrix:
    return Matrix(tuple(tuple(Call(Head.MUL, (factor, cell)) for cell in row) for row in matrix.rows))


def _added(matrices: list[Matrix]) -> Matrix:
    rows, columns = _shape(matrices[0])
    return Matrix(
        tuple(tuple(Call(Head.ADD, tuple(m.rows[r][c] for m in matrices)) for c in range(columns)) for r in range(rows))
    )


def _multiplied(a: Node, b: Node) -> Matrix | None:
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        if _shape(a)[1] != _shape(b)[0] or _shape(a)[0] * _shape(b)[1] * _shape(a)[1] > 4000:
            return None
        columns = list(zip(*b.rows, strict=True))
        return Matrix(
            tuple(
                tuple(
                    Call(Head.ADD, tuple(Call(Head.MUL, (x, y)) for x, y in zip(row, column, strict=True)))
                    for column in columns
                )
                for row in a.rows
            )
        )
    if isinstance(a, Matrix):
        return _scaled(b, a)
    return _scaled(a, b) if isinstance(b, Matrix) else None


def _determinant(matrix: Matrix) -> Node | None:
    rows, columns = _shape(matrix)
    if rows != columns or rows > 4:
        return None
    if rows == 1:
        return matrix.rows[0][0]
    terms: list[Node] = []
    for column, cell in enumerate(matrix.rows[0]):
        minor = Matrix(tuple(row[:column] + row[column + 1 :] for row in matrix.rows[1:]))
        inner = _determinant(minor)
        assert inner is not None
        term: Node = Call(Head.MUL, (cell, inner))
        terms.append(neg(term) if column % 2 else term)
    return Call(Head.ADD, tuple(terms))
