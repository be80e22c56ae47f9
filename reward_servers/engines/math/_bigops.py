"""Fractions, derivatives and the operators with bounds: sum, product, integral, limit."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ._errors import AnswerSyntaxError
from ._nodes import INFINITY, Call, Const, Node, Num, Rel, Sym
from ._tables import names

if TYPE_CHECKING:
    from ._parser import Parser

OPERATORS = names("sum prod int iint oint lim")
_NO_VARIABLE = Sym("□")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}


def fraction(parser: Parser) -> Node:
    r"""`\frac` with its two arguments, or a derivative written as a fraction."""
    from ._commands import argument

    derivative = _derivative(parser)
    if derivative is not None:
        return derivative
    start = parser.token.pos
    top = argument(parser)
    below = argument(parser)
    if isinstance(top, Rel) or isinstance(below, Rel):
        raise AnswerSyntaxError("a fraction of relations", start)
    return Call("div", (top, below))


def _group_texts(parser: Parser, at: int) -> tuple[list[str], int]:
    """Texts of the brace group at token `at`, and the index after it."""
    if parser.tokens[at].text != "{":
        return [parser.tokens[at].text], at + 1
    depth, at = 1, at + 1
    texts: list[str] = []
    while at < len(parser.tokens) - 1:
        text = parser.tokens[at].text
        depth += {"{": 1, "}": -1}.get(text, 0)
        at += 1
        if depth == 0:
            return texts, at
        texts.append(text)
    return texts, at


def _derivative(parser: Parser) -> Node | None:
    if not parser.is_op("{") or parser.peek().text not in ("d", "partial"):
        return None
    top, after = _group_texts(parser, parser.at)
    below, end = _group_texts(parser, after)
    mark = top[0]
    flat = [t for t in below if t not in "{}"]
    if len(flat) < 2 or flat[0] != mark:
        return None
    order = int(top[2]) if len(top) > 2 and top[1] == "^" and top[2].isdigit() else 1
    body_names = [t for t in top[3 if order > 1 else 1 :] if t not in "{}"]
    variable = Sym(flat[1])
    if len(body_names) > 1:
        return None
    parser.at = end
    body: Node = Sym(body_names[0]) if body_names else _body(parser)
    return Call("diff", (body, variable, Num(Fraction(order))))


def _body(parser: Parser) -> Node:
    """What a large operator applies to: a product, functions included."""
    if parser.token.kind in ("end", "rel"):
        raise AnswerSyntaxError("an operator without its body", parser.token.pos)
    return parser.expression(35)


def operator(parser: Parser, name: str) -> Node:
    """A sum, product, integral or limit with its bounds and body."""
    low: Node | None = None
    high: Node | None = None
    while parser.is_op("_", "^"):
        mark = parser.take().text
        if mark == "_" and name == "lim":
            return _limit(parser)
        if mark == "_":
            low = _bound(parser)
        else:
            from ._commands import script

            high = script(parser)
    if name in ("int", "iint", "oint"):
        return _integral(parser, low, high)
    if name == "lim":
        raise AnswerSyntaxError("a limit without its point", parser.token.pos)
    variable: Node = _NO_VARIABLE
    if isinstance(low, Rel) and low.ops == ("=",):
        variable, low = low.terms
    return Call(name, (_body(parser), variable, low or _NO_VARIABLE, high or _NO_VARIABLE))


def _bound(parser: Parser) -> Node:
    if not parser.is_op("{"):
        from ._commands import script

        return script(parser)
    parser.at += 1
    node = parser.alternatives()
    parser.expect("}")
    return node


def _limit(parser: Parser) -> Node:
    parser.expect("{")
    side = _side(parser)
    variable = parser.prefix()
    if not parser.is_op("to"):
        raise AnswerSyntaxError("a limit without its point", parser.token.pos)
    parser.at += 1
    point = parser.expression(29)
    parser.expect("}")
    return Call("lim", (_body(parser), variable, point, Const("side" + side)))


def _side(parser: Parser) -> str:
    """Remove the mark of a one-sided limit (`3^+`, `3^{-}`) from the tokens and return it."""
    at, depth = parser.at, 1
    while depth and at < len(parser.tokens) - 1:
        depth += {"{": 1, "}": -1}.get(parser.tokens[at].text, 0)
        at += 1
    close = at - 1
    texts = [t.text for t in parser.tokens[close - 4 : close]]
    for mark, length in ((["^", "{", "?", "}"], 4), (["^", "?"], 2)):
        tail = texts[-length:]
        sign = tail[2] if length == 4 and len(tail) == 4 else tail[-1] if tail else ""
        if sign in ("+", "-") and tail == [sign if m == "?" else m for m in mark]:
            del parser.tokens[close - length : close]
            return sign
    return ""


def _integral(parser: Parser, low: Node | None, high: Node | None) -> Node:
    parser.integrals += 1
    _move_differential(parser)
    body: Node = Num(Fraction(1))
    if not _differential(parser):
        body = parser.expression(29 if not _differential(parser) else 0)
        while parser.is_op("+", "-"):
            sign = parser.take().text
            term = parser.expression(30)
            body = Call("add", (body, term if sign == "+" else Call("neg", (term,))))
    variable: Node = _NO_VARIABLE
    if _differential(parser):
        parser.at += 1
        variable = Sym(parser.take().text)
    parser.integrals -= 1
    if low is None and high is None:
        return Call("int", (body, variable))
    return Call("int", (body, variable, low or Call("neg", (INFINITY,)), high or INFINITY))


def _move_differential(parser: Parser) -> None:
    r"""`\int \frac{3\,dz}{z}` becomes `\int \frac{3}{z} dz`."""
    tokens = parser.tokens
    if parser.token.text in _BRACKETS:
        _take_out(parser)
    if not parser.token.text.endswith("frac"):
        return
    texts, end = _group_texts(parser, parser.at + 1)
    if len(texts) < 2 or texts[-2] != "d":
        return
    _, after = _group_texts(parser, end)
    pair = tokens[end - 3 : end - 1]
    tokens[after:after] = pair
    del tokens[end - 3 : end - 1]
    if tokens[end - 4].text == "*":
        del tokens[end - 4]
    elif len(texts) == 2:
        tokens[end - 3 : end - 3] = [pair[0]._replace(kind="num", text="1", num=Num(Fraction(1)))]


def _take_out(parser: Parser) -> None:
    r"""`\int (x\,dx)` becomes `\int (x) dx`."""
    tokens, depth, at = parser.tokens, 0, parser.at
    opener, closer = parser.token.text, _BRACKETS[parser.token.text]
    while at < len(tokens) - 1:
        depth += (tokens[at].text == opener) - (tokens[at].text == closer)
        if depth == 0:
            break
        at += 1
    pair = tokens[at - 2 : at]
    if at - 3 > parser.at and pair[0].text == "d" and pair[1].kind in ("let", "cmd"):
        tokens[at + 1 : at + 1] = pair
        del tokens[at - 2 : at]
        if opener == "\\{":
            tokens[parser.at] = tokens[parser.at]._replace(text="{")
            tokens[at - 2] = tokens[at - 2]._replace(text="}")


def _differential(parser: Parser) -> bool:
    return parser.token.kind == "let" and parser.token.text == "d" and parser.peek().kind in ("let", "cmd")
