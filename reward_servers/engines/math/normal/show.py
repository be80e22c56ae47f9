"""Plain-text rendering of nodes, for normal forms and explanations."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.nodes import (
    Call,
    Const,
    Head,
    Interval,
    Kind,
    Matrix,
    Node,
    Num,
    Quantity,
    Rel,
    Seq,
    Sym,
    Text,
)

_MAX_DIGITS = 400
_BRACKETS = {
    Kind.LIST: ("", ""),
    Kind.OR: ("", ""),
    Kind.TUPLE: ("(", ")"),
    Kind.SQUARE: ("[", "]"),
    Kind.SET: ("{", "}"),
    Kind.ANGLE: ("<", ">"),
    Kind.PARTS: ("(", ")"),
}
_INFIX = {
    Head.ADD: (" + ", 1),
    Head.MUL: ("*", 2),
    Head.DIV: ("/", 2),
    Head.POW: ("^", 4),
    Head.UNION: (" ∪ ", 0),
    Head.INTERSECT: (" ∩ ", 0),
    Head.SETMINUS: (" \\ ", 0),
    Head.RATIO: (":", 0),
    Head.PM: (" ± ", 1),
    Head.MP: (" ∓ ", 1),
}


def show_number(value: Fraction) -> str:
    """A rational as `p/q`; a very long one by its size only."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_DIGITS * 3:
        return f"<rational of {value.numerator.bit_length()}/{value.denominator.bit_length()} bits>"
    return str(value)


def show(node: Node, limit: int = 600) -> str:
    """Render a node, cut to `limit` characters."""
    text = _show(node, 0)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _show(node: Node, outer: int) -> str:
    match node:
        case Num(value):
            text = show_number(value)
            return f"({text})" if outer > 1 and (value < 0 or value.denominator != 1) else text
        case Sym(name) | Const(name):
            return name
        case Text(key):
            return f'"{key}"'
        case Rel(ops, terms):
            parts = [_show(terms[0], 1)]
            for op, term in zip(ops, terms[1:], strict=True):
                parts += [op, _show(term, 1)]
            return " ".join(parts)
        case Seq(kind, items):
            left, right = _BRACKETS[kind]
            return left + (" or " if kind is Kind.OR else ", ").join(_show(i, 0) for i in items) + right
        case Interval(lo, hi, lo_closed, hi_closed):
            return f"{'[' if lo_closed else '('}{_show(lo, 0)}, {_show(hi, 0)}{']' if hi_closed else ')'}"
        case Matrix(rows):
            return "[" + "; ".join(", ".join(_show(c, 0) for c in row) for row in rows) + "]"
        case Quantity(value, unit):
            return f"{_show(value, 1)} {unit}"
        case Call():
            return _show_call(node, outer)


def _show_call(node: Call, outer: int) -> str:
    if node.head in _INFIX and len(node.args) > 1:
        symbol, level = _INFIX[node.head]
        text = symbol.join(_show(a, level + 1) for a in node.args)
        return f"({text})" if outer > level else text
    if node.head is Head.SPELLED:
        return "".join(_show(a, 0) for a in node.args)
    if node.head == Head.NEG:
        text = "-" + _show(node.args[0], 2)
        return f"({text})" if outer > 1 else text
    if node.head == Head.PERCENT:
        return _show(node.args[0], 3) + "%"
    if node.head == Head.DEG:
        return _show(node.args[0], 3) + "°"
    if node.head in (Head.FACT, Head.FACT2):
        return _show(node.args[0], 5) + ("!" if node.head == Head.FACT else "!!")
    return f"{node.head}({', '.join(_show(a, 0) for a in node.args)})"
