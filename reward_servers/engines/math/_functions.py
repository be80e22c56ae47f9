"""Named functions with their scripts, and how far an argument without brackets reaches."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from . import _commands
from ._brackets import bracketed
from ._errors import AnswerSyntaxError
from ._nodes import MINUS_ONE, Call, Const, Node, Num, Seq, has_const, symbols
from ._tables import GREEK

if TYPE_CHECKING:
    from ._parser import Parser

_INVERSE = {
    "sin": "asin",
    "cos": "acos",
    "tan": "atan",
    "cot": "acot",
    "sec": "asec",
    "csc": "acsc",
    "sinh": "asinh",
    "cosh": "acosh",
    "tanh": "atanh",
}


def function(parser: Parser, name: str) -> Node:
    """A named function with its scripts and its argument."""
    exponent: Node | None = None
    base: Node | None = None
    while parser.is_op("^", "_"):
        if parser.take().text == "_":
            base = _commands.script(parser)
        else:
            exponent = _commands.script(parser)
    if exponent == MINUS_ONE and name in _INVERSE:
        name, exponent = _INVERSE[name], None
    args = _arguments(parser)
    if name == "log" and base is not None:
        node: Node = Call("logb", (*args, base))
    elif name == "lg":
        node = Call("logb", (*args, Num(Fraction(10))))
    elif name == "exp":
        node = Call("pow", (Const("e"), *args))
    elif name == "cis":
        angle = args[0]
        node = Call("add", (Call("cos", (angle,)), Call("mul", (Const("i"), Call("sin", (angle,))))))
    elif name == "cbrt":
        node = Call("root", (*args, Num(Fraction(3))))
    else:
        node = Call(name, args)
    return node if exponent is None else Call("pow", (node, exponent))


def _arguments(parser: Parser) -> tuple[Node, ...]:
    if parser.is_op("("):
        group = bracketed(parser)
        return group.items if isinstance(group, Seq) and group.kind in ("()", "list") else (group,)
    if parser.is_op("{", "|", "[", "\\{", "lfloor", "lceil"):
        group = parser.prefix()
        if isinstance(group, Seq):
            return group.items
        return (_trailing(parser, group),)
    if parser.token.kind in ("end", "rel"):
        raise AnswerSyntaxError("a function without its argument", parser.token.pos)
    return (_bare_argument(parser),)


def _trailing(parser: Parser, value: Node) -> Node:
    r"""Powers and degree signs that belong to the argument: `\sin{x}^2` keeps them outside."""
    while parser.is_op("degree") or (parser.is_op("^") and parser.peek().text in ("circ", "{") and _is_degree(parser)):
        value = _commands.power(parser, value) if parser.is_op("^") else _degree(parser, value)
    return value


def _is_degree(parser: Parser) -> bool:
    return parser.peek().text == "circ" or (parser.peek(2).text == "circ" and parser.peek(3).text == "}")


def _degree(parser: Parser, value: Node) -> Node:
    parser.at += 1
    return Call("deg", (value,))


def _bare_argument(parser: Parser) -> Node:
    r"""`\sin 2x`: signs and juxtaposed factors, up to the next function, sum or bracket."""
    value = parser.expression(49)
    while parser.starts_factor(value) and parser.token.kind in ("let", "cmd", "num"):
        token = parser.token
        if token.upright and token.text not in ("e", "i"):
            break
        if token.kind == "cmd" and token.text not in GREEK and token.text not in ("pi", "frac", "dfrac", "tfrac"):
            break
        if token.kind == "cmd" and token.text.endswith("frac") and symbols(value):
            break
        factor = parser.expression(49)
        value = Call(
            "mul", (*value.args, factor) if isinstance(value, Call) and value.head == "mul" else (value, factor)
        )
    if parser.is_op("/") and parser.peek().kind == "num" and not symbols(value) and has_const(value, "pi"):
        parser.at += 1
        value = Call("div", (value, parser.expression(49)))
    return value
