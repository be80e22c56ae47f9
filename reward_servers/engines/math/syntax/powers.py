"""Powers with all that a raised sign may mean, and scripts before their base."""

from __future__ import annotations

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Node, Num, Sym
from reward_servers.engines.math.syntax.cursor import Cursor
from reward_servers.engines.math.syntax.measures import temperature
from reward_servers.engines.math.syntax.scripts import name_of, raw_script, script


def power(cursor: Cursor, left: Node) -> Node:
    """`^` and its exponent; a small circle is the degree sign, primes are primes."""
    cursor.enter()
    node = _power(cursor, left)
    cursor.leave()
    return node


def _power(cursor: Cursor, left: Node) -> Node:
    cursor.advance()
    if (length := _degree_sign(cursor)) > 0:
        cursor.advance(length)
        return _degrees(cursor, left)
    if cursor.token.kind == "let" and cursor.token.text == "o" and isinstance(left, Num):
        cursor.advance()
        return _degrees(cursor, left)
    if cursor.is_op("{") and cursor.peek().text == "'":
        raw_script(cursor)
        return Sym(left.name + "'") if isinstance(left, Sym) else left
    exponent = script(cursor)
    while cursor.is_op("!"):
        cursor.advance()
        exponent = Call(Head.FACT, (exponent,))
    if cursor.is_op("^"):  # 2^3^4 is read as a tower
        exponent = power(cursor, exponent)
    if isinstance(left, Sym) and cursor.is_op("_"):  # x^2_1
        left = Sym(name_of(cursor, left.name))
    return Call(Head.POW, (left, exponent))


def _degree_sign(cursor: Cursor) -> int:
    r"""How many tokens make a degree sign here: `\circ`, `{\circ}`, `{^\circ}`; 0 where none stands."""
    texts = [cursor.peek(k).text for k in range(4)]
    if texts[0] in ("circ", "degree"):
        return 1
    if texts[0] == "{" and texts[1] in ("circ", "degree") and texts[2] == "}":
        return 3
    return 4 if texts[:2] == ["{", "^"] and texts[2] in ("circ", "degree") and texts[3] == "}" else 0


def _degrees(cursor: Cursor, left: Node) -> Node:
    warm = temperature(cursor, left)
    if warm is not None:
        return warm
    value: Node = Call(Head.DEG, (left,))
    if cursor.token.kind == "num" and cursor.peek().text == "'":
        minutes = cursor.take().num
        cursor.advance()
        assert minutes is not None
        value = Call(Head.DEG, (Call(Head.ADD, (left, Num(minutes.value / 60))),))
    return value


def left_script(cursor: Cursor) -> Node:
    """`{}^5C_2`, `^5C_2` and `_5C_2` as a binomial coefficient."""
    start = cursor.take().pos
    top = script(cursor)
    token = cursor.take()
    if token.text not in ("C", "P") or not cursor.is_op("_"):
        raise AnswerSyntaxError("a script without a base", start)
    cursor.advance()
    return Call(Head.BINOM if token.text == "C" else Head.PERM, (top, script(cursor)))
