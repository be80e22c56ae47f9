"""Named functions with their scripts, and how far an argument without brackets reaches."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import MINUS_ONE, Call, Const, Head, Kind, Node, Num, Seq, has_const, symbols
from reward_servers.engines.math.syntax.brackets import bracketed
from reward_servers.engines.math.syntax.cursor import SIGN, Cursor
from reward_servers.engines.math.syntax.factors import starts_factor
from reward_servers.engines.math.syntax.powers import power
from reward_servers.engines.math.syntax.scripts import script
from reward_servers.engines.math.vocabulary.tables import CANON_FUNCTION, FUNCTIONS, GREEK

_INVERSE = {
    Head.SIN: Head.ASIN,
    Head.COS: Head.ACOS,
    Head.TAN: Head.ATAN,
    Head.COT: Head.ACOT,
    Head.SEC: Head.ASEC,
    Head.CSC: Head.ACSC,
    Head.SINH: Head.ASINH,
    Head.COSH: Head.ACOSH,
    Head.TANH: Head.ATANH,
}
_WRITTEN_OUT: dict[str, Callable[[tuple[Node, ...]], Node]] = {
    "lg": lambda args: Call(Head.LOGB, (*args, Num(Fraction(10)))),
    "exp": lambda args: Call(Head.POW, (Const("e"), *args)),
    "cbrt": lambda args: Call(Head.ROOT, (*args, Num(Fraction(3)))),
    "cis": lambda args: Call(
        Head.ADD, (Call(Head.COS, (args[0],)), Call(Head.MUL, (Const("i"), Call(Head.SIN, (args[0],)))))
    ),
}
_HEADS = {name: Head(CANON_FUNCTION.get(name, name)) for name in FUNCTIONS if name not in _WRITTEN_OUT}


def function(cursor: Cursor, name: str) -> Node:
    """A named function with its scripts and its argument."""
    exponent: Node | None = None
    base: Node | None = None
    while cursor.is_op("^", "_"):
        if cursor.take().text == "_":
            base = script(cursor)
        else:
            exponent = script(cursor)
    head = _HEADS.get(name)
    if exponent == MINUS_ONE and head in _INVERSE:
        head, exponent = _INVERSE[head], None
    args = _arguments(cursor)
    if head is None:
        node = _WRITTEN_OUT[name](args)
    elif head is Head.LOG and base is not None:
        node = Call(Head.LOGB, (*args, base))
    else:
        node = Call(head, args)
    return node if exponent is None else Call(Head.POW, (node, exponent))


def _arguments(cursor: Cursor) -> tuple[Node, ...]:
    if cursor.is_op("("):
        group = bracketed(cursor)
        return group.items if isinstance(group, Seq) and group.kind in (Kind.TUPLE, Kind.LIST) else (group,)
    if cursor.is_op("{", "|", "[", "\\{", "lfloor", "lceil"):
        group = cursor.prefix()
        if isinstance(group, Seq):
            return group.items
        return (_trailing(cursor, group),)
    if cursor.token.kind in ("end", "rel"):
        raise AnswerSyntaxError("a function without its argument", cursor.token.pos)
    return (_bare_argument(cursor),)


def _trailing(cursor: Cursor, value: Node) -> Node:
    r"""Powers and degree signs that belong to the argument: `\sin{x}^2` keeps them outside."""
    while cursor.is_op("degree") or (cursor.is_op("^") and cursor.peek().text in ("circ", "{") and _is_degree(cursor)):
        value = power(cursor, value) if cursor.is_op("^") else _degree(cursor, value)
    return value


def _is_degree(cursor: Cursor) -> bool:
    return cursor.peek().text == "circ" or (cursor.peek(2).text == "circ" and cursor.peek(3).text == "}")


def _degree(cursor: Cursor, value: Node) -> Node:
    cursor.advance()
    return Call(Head.DEG, (value,))


def _bare_argument(cursor: Cursor) -> Node:
    r"""`\sin 2x`: signs and juxtaposed factors, up to the next function, sum or bracket."""
    value = cursor.expression(SIGN - 1)
    while starts_factor(cursor, value) and cursor.token.kind in ("let", "cmd", "num"):
        token = cursor.token
        if token.upright and token.text not in ("e", "i"):
            break
        if token.kind == "cmd" and token.text not in GREEK and token.text not in ("pi", "frac", "dfrac", "tfrac"):
            break
        if token.kind == "cmd" and token.text.endswith("frac") and symbols(value):
            break
        factor = cursor.expression(SIGN - 1)
        value = Call(
            Head.MUL, (*value.args, factor) if isinstance(value, Call) and value.head == Head.MUL else (value, factor)
        )
    if cursor.is_op("/") and cursor.peek().kind == "num" and not symbols(value) and has_const(value, "pi"):
        cursor.advance()
        value = Call(Head.DIV, (value, cursor.expression(SIGN - 1)))
    return value
