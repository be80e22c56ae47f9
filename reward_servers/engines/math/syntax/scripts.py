"""Subscripts, superscripts and the arguments of commands."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import MINUS_ONE, Call, Const, Head, Node, Num, Sym
from reward_servers.engines.math.syntax.cursor import Cursor


def name_of(cursor: Cursor, base: str) -> str:
    """The name of a variable with its subscript and primes."""
    while True:
        if cursor.is_op("_"):
            cursor.advance()
            base += "_" + raw_script(cursor)
        elif cursor.is_op("'"):
            cursor.advance()
            base += "'"
        else:
            return base


def raw_script(cursor: Cursor) -> str:
    """The text of a sub- or superscript, braces removed."""
    if not cursor.is_op("{"):
        token = cursor.take()
        if token.kind == "end":
            raise AnswerSyntaxError("a script without content", token.pos)
        return token.text
    depth = 0
    parts: list[str] = []
    while True:
        token = cursor.take()
        if token.kind == "end":
            raise AnswerSyntaxError("unclosed brace", token.pos)
        if token.kind == "op" and token.text == "{":
            depth += 1
        elif token.kind == "op" and token.text == "}":
            depth -= 1
            if depth == 0:
                return "".join(parts)
        else:
            parts.append(token.text)


def argument(cursor: Cursor) -> Node:
    r"""The argument of a LaTeX command: a group, or one sign (`\frac12` takes the digits apart)."""
    token = cursor.token
    if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
        digits = token.text
        first = Num(Fraction(int(digits[0])), 0)
        further_digits = token._replace(text=digits[1:], num=Num(Fraction(int(digits[1:])), 0), pos=token.pos + 1)
        cursor.tokens[cursor.at] = further_digits
        return first
    if token.kind == "num":
        cursor.advance()
        assert token.num is not None
        return token.num
    if token.kind in ("let", "cmd") or (token.kind == "op" and token.text in ("{", "-", "(")):
        if token.text == "-":
            cursor.advance()
            cursor.enter()
            inner = argument(cursor)
            cursor.leave()
            return Call(Head.NEG, (inner,))
        return cursor.prefix()
    raise AnswerSyntaxError("a command without its argument", token.pos)


def argument_all(cursor: Cursor) -> Node:
    r"""A modulus: a group, or a number with all its digits (`\pmod 11`)."""
    if cursor.token.kind == "num":
        number = cursor.take().num
        assert number is not None
        return number
    return argument(cursor)


def script(cursor: Cursor) -> Node:
    """A script as a value: a group, or a sign and one atom; digits stay together."""
    if cursor.is_op("-", "+"):
        sign = cursor.take().text
        cursor.enter()
        value = script(cursor)
        cursor.leave()
        if sign == "+":
            return value
        return Num(-value.value) if isinstance(value, Num) else Call(Head.NEG, (value,))
    token = cursor.token
    if token.kind == "num":
        cursor.advance()
        assert token.num is not None
        return token.num
    if token.kind == "end":
        raise AnswerSyntaxError("a script without content", token.pos)
    if token.kind == "let":
        cursor.advance()
        return Const(token.text) if token.text in ("e", "i") else Sym(token.text)
    node = cursor.prefix()
    return node if isinstance(node, Num) or not _is_minus_one(node) else MINUS_ONE


def _is_minus_one(node: Node) -> bool:
    return isinstance(node, Call) and node.head == Head.NEG and node.args[0] == Num(Fraction(1))
