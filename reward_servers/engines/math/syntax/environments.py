"""Matrices, and cases read as pieces or as a system."""

from __future__ import annotations

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Kind, Matrix, Node, Rel, Seq, Text
from reward_servers.engines.math.syntax.cursor import Cursor
from reward_servers.engines.math.syntax.items import alternatives
from reward_servers.engines.math.vocabulary.tables import names

_MATRICES = names("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array")


def environment(cursor: Cursor, *, braced: bool = False) -> Node:
    """A matrix, or `cases` read as pieces or as a system.

    Args:
        cursor: At the beginning of the environment.
        braced: Whether a brace stands before it: then an array is set out like `cases`.
    """
    start = cursor.take()
    kind = start.text.partition(":")[2]
    pieces = kind.endswith("cases") or (braced and kind == "array")
    if kind not in _MATRICES and kind not in ("cases", "dcases", "rcases"):
        raise AnswerSyntaxError(f"unknown environment {kind}", start.pos)
    bars, cursor.bars = cursor.bars, 0
    cursor.depth += 1
    rows: list[tuple[Node, ...]] = []
    row: list[Node] = []
    while not (cursor.token.kind == "op" and cursor.token.text == f"end:{kind}"):
        if cursor.token.kind == "end":
            raise AnswerSyntaxError("unclosed environment", start.pos)
        if cursor.is_op("\\\\"):
            cursor.advance()
            if row:
                rows.append(tuple(row))
            row = []
        elif cursor.is_op("&") or (pieces and row and cursor.token.text in ("if", "for", "when")):
            cursor.advance()
        elif pieces and cursor.token.text in ("otherwise", "else", "elsewhere"):
            cursor.advance()
            row.append(Text("otherwise"))
            cursor.advance(cursor.is_op(",", "."))
        else:
            row.append(alternatives(cursor))
            if cursor.is_op(",", "."):
                cursor.advance()
    cursor.advance()
    cursor.depth -= 1
    cursor.bars = bars
    if row:
        rows.append(tuple(row))
    return _pieces(rows, start.pos) if pieces else _matrix(kind, rows, start.pos)


def _pieces(rows: list[tuple[Node, ...]], pos: int) -> Node:
    if not rows or len({len(r) for r in rows}) != 1:
        raise AnswerSyntaxError("cases with ragged rows", pos)
    if len(rows[0]) == 1:
        return Seq(Kind.LIST, tuple(r[0] for r in rows))
    if len(rows[0]) != 2:
        raise AnswerSyntaxError("cases with more than a value and a condition", pos)
    return Call(Head.CASES, tuple(cell for row in rows for cell in row))


def _matrix(kind: str, rows: list[tuple[Node, ...]], pos: int) -> Node:
    if not rows or len({len(r) for r in rows}) != 1:
        raise AnswerSyntaxError("a matrix with ragged rows", pos)
    matrix = Matrix(tuple(rows))
    if kind == "vmatrix":
        return Call(Head.DET, (matrix,))
    if kind == "array" and len(rows[0]) == 1 and all(isinstance(r[0], Rel) for r in rows):
        return Seq(Kind.LIST, tuple(r[0] for r in rows))
    return matrix
