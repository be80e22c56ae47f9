"""Fractions, derivatives and the operators with bounds: sum, product, integral, limit."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import INFINITY, Call, Const, Head, Kind, Node, Num, Rel, Seq, Sym
from reward_servers.engines.math.syntax.cursor import ADD, SET, UNIT, Cursor
from reward_servers.engines.math.syntax.items import alternatives
from reward_servers.engines.math.syntax.scripts import argument, script
from reward_servers.engines.math.vocabulary.tables import names

OPERATORS = names("sum prod int iint oint lim")
_NO_VARIABLE = Sym("□")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}


def fraction(cursor: Cursor) -> Node:
    r"""`\frac` with its two arguments, or a derivative written as a fraction."""
    derivative = _derivative(cursor)
    if derivative is not None:
        return derivative
    start = cursor.token.pos
    top = argument(cursor)
    below = argument(cursor)
    if isinstance(top, Rel) or isinstance(below, Rel):
        raise AnswerSyntaxError("a fraction of relations", start)
    return Call(Head.DIV, (top, below))


def _group_texts(cursor: Cursor, at: int) -> tuple[list[str], int]:
    """Texts of the brace group at token `at`, and the index after it."""
    if cursor.tokens[at].text != "{":
        return [cursor.tokens[at].text], at + 1
    depth, at = 1, at + 1
    texts: list[str] = []
    while at < len(cursor.tokens) - 1:
        text = cursor.tokens[at].text
        depth += {"{": 1, "}": -1}.get(text, 0)
        at += 1
        if depth == 0:
            return texts, at
        texts.append(text)
    return texts, at


def _derivative(cursor: Cursor) -> Node | None:
    if not cursor.is_op("{") or cursor.peek().text not in ("d", "partial"):
        return None
    top, after = _group_texts(cursor, cursor.at)
    below, end = _group_texts(cursor, after)
    mark = top[0]
    flat = [t for t in below if t not in "{}"]
    if len(flat) < 2 or flat[0] != mark:
        return None
    order = int(top[2]) if len(top) > 2 and top[1] == "^" and top[2].isdigit() else 1
    body_names = [t for t in top[3 if order > 1 else 1 :] if t not in "{}"]
    variable = Sym(flat[1])
    if len(body_names) > 1:
        return None
    cursor.at = end
    body: Node = Sym(body_names[0]) if body_names else _body(cursor)
    return Call(Head.DIFF, (body, variable, Num(Fraction(order))))


def _body(cursor: Cursor) -> Node:
    """What a large operator applies to: a product, functions included."""
    if cursor.token.kind in ("end", "rel"):
        raise AnswerSyntaxError("an operator without its body", cursor.token.pos)
    return cursor.expression(UNIT)


def operator(cursor: Cursor, name: str) -> Node:
    """A sum, product, integral or limit with its bounds and body."""
    low: Node | None = None
    high: Node | None = None
    while cursor.is_op("_", "^"):
        mark = cursor.take().text
        if mark == "_" and name == "lim":
            return _limit(cursor)
        if mark == "_":
            low = _bound(cursor)
        else:
            high = script(cursor)
    if name in ("int", "iint", "oint"):
        return _integral(cursor, low, high)
    if name == "lim":
        raise AnswerSyntaxError("a limit without its point", cursor.token.pos)
    variable: Node = _NO_VARIABLE
    if isinstance(low, Rel) and low.ops == ("=",):
        variable, low = low.terms
    return Call(Head(name), (_body(cursor), variable, low or _NO_VARIABLE, high or _NO_VARIABLE))


def union_over(cursor: Cursor) -> Node:
    r"""`\bigcup_{k \in Z} (2k, 2k+1)`: the union of a family, told by its member and its index."""
    sign = cursor.take()
    if not cursor.is_op("_"):
        raise AnswerSyntaxError("a union without its sets", sign.pos)
    cursor.advance()
    index = _bound(cursor)
    bounds = [index]
    if cursor.is_op("^"):
        cursor.advance()
        bounds.append(script(cursor))
    member = cursor.expression(SET)
    condition = bounds[0] if len(bounds) == 1 else Seq(Kind.LIST, tuple(bounds))
    return Call(Head.BUILDER, (member, condition))


def _bound(cursor: Cursor) -> Node:
    if not cursor.is_op("{"):
        return script(cursor)
    cursor.advance()
    node = alternatives(cursor)
    cursor.expect("}")
    return node


def _limit(cursor: Cursor) -> Node:
    cursor.expect("{")
    side = _side(cursor)
    variable = cursor.prefix()
    if not cursor.is_op("to"):
        raise AnswerSyntaxError("a limit without its point", cursor.token.pos)
    cursor.advance()
    point = cursor.expression(ADD - 1)
    cursor.expect("}")
    return Call(Head.LIM, (_body(cursor), variable, point, Const("side" + side)))


def _side(cursor: Cursor) -> str:
    """Remove the mark of a one-sided limit (`3^+`, `3^{-}`) from the tokens and return it."""
    at, depth = cursor.at, 1
    while depth and at < len(cursor.tokens) - 1:
        depth += {"{": 1, "}": -1}.get(cursor.tokens[at].text, 0)
        at += 1
    close = at - 1
    texts = [t.text for t in cursor.tokens[close - 4 : close]]
    for mark, length in ((["^", "{", "?", "}"], 4), (["^", "?"], 2)):
        tail = texts[-length:]
        sign = tail[2] if length == 4 and len(tail) == 4 else tail[-1] if tail else ""
        if sign in ("+", "-") and tail == [sign if m == "?" else m for m in mark]:
            del cursor.tokens[close - length : close]
            return sign
    return ""


def _integral(cursor: Cursor, low: Node | None, high: Node | None) -> Node:
    cursor.integrals += 1
    _move_differential(cursor)
    body: Node = Num(Fraction(1))
    if not _differential(cursor):
        body = cursor.expression(ADD - 1)
        while cursor.is_op("+", "-"):
            sign = cursor.take().text
            term = cursor.expression(ADD)
            body = Call(Head.ADD, (body, term if sign == "+" else Call(Head.NEG, (term,))))
    variable: Node = _NO_VARIABLE
    if _differential(cursor):
        cursor.advance()
        variable = Sym(cursor.take().text)
    cursor.integrals -= 1
    if low is None and high is None:
        return Call(Head.INT, (body, variable))
    return Call(Head.INT, (body, variable, low or Call(Head.NEG, (INFINITY,)), high or INFINITY))


def _move_differential(cursor: Cursor) -> None:
    r"""`\int \frac{3\,dz}{z}` becomes `\int \frac{3}{z} dz`."""
    tokens = cursor.tokens
    if cursor.token.text in _BRACKETS:
        _take_out(cursor)
    if not cursor.token.text.endswith("frac"):
        return
    texts, end = _group_texts(cursor, cursor.at + 1)
    if len(texts) < 2 or texts[-2] != "d":
        return
    _, after = _group_texts(cursor, end)
    pair = tokens[end - 3 : end - 1]
    tokens[after:after] = pair
    del tokens[end - 3 : end - 1]
    if tokens[end - 4].text == "*":
        del tokens[end - 4]
    elif len(texts) == 2:
        tokens[end - 3 : end - 3] = [pair[0]._replace(kind="num", text="1", num=Num(Fraction(1)))]


def _take_out(cursor: Cursor) -> None:
    r"""`\int (x\,dx)` becomes `\int (x) dx`."""
    tokens, depth, at = cursor.tokens, 0, cursor.at
    opener, closer = cursor.token.text, _BRACKETS[cursor.token.text]
    while at < len(tokens) - 1:
        depth += (tokens[at].text == opener) - (tokens[at].text == closer)
        if depth == 0:
            break
        at += 1
    pair = tokens[at - 2 : at]
    if at - 3 > cursor.at and pair[0].text == "d" and pair[1].kind in ("let", "cmd"):
        tokens[at + 1 : at + 1] = pair
        del tokens[at - 2 : at]
        if opener == "\\{":
            tokens[cursor.at] = tokens[cursor.at]._replace(text="{")
            tokens[at - 2] = tokens[at - 2]._replace(text="}")


def _differential(cursor: Cursor) -> bool:
    return cursor.token.kind == "let" and cursor.token.text == "d" and cursor.peek().kind in ("let", "cmd")
