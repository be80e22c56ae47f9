"""Brackets of every kind: grouping, tuples, intervals, sets, absolute values."""

from __future__ import annotations

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import EMPTY, Call, Const, Head, Interval, Kind, Node, Seq
from reward_servers.engines.math.syntax import lists
from reward_servers.engines.math.syntax.cursor import ANY, Cursor
from reward_servers.engines.math.syntax.environments import environment
from reward_servers.engines.math.syntax.items import alternatives, comma, item


def elements(cursor: Cursor, *closers: str) -> tuple[Node, ...]:
    """Elements up to one of `closers`, which is passed over; the opener is under the cursor."""
    start = cursor.take().pos
    if cursor.is_op(*closers):
        raise AnswerSyntaxError("empty brackets", start)
    bars, cursor.bars = cursor.bars, 0
    braces, cursor.braces = cursor.braces, 0
    cursor.depth += 1
    items = [item(cursor)]
    while not cursor.is_op(*closers):
        if cursor.token.kind == "end":
            raise AnswerSyntaxError("unclosed bracket", start)
        if not (cursor.is_op(";") or comma(cursor)):
            raise AnswerSyntaxError(f"unexpected {cursor.token.text!r}", cursor.token.pos)
        if cursor.is_op(";"):
            cursor.advance()
        items.append(item(cursor))
    cursor.depth -= 1
    cursor.bars, cursor.braces = bars, braces
    cursor.advance()
    if any(i == Const("dots") for i in items):
        return lists.expanded(items, cursor.limits)
    return tuple(items)


def bracketed(cursor: Cursor) -> Node:
    """Parentheses and square brackets: grouping, tuple, or interval."""
    left = cursor.token.text
    start = cursor.token.pos
    closers = ("[", "]", ")") if left == "]" else (")", "]", "[") if _french(cursor, left) else (")", "]")
    outer, cursor.outward = cursor.outward, "[" in closers
    items = elements(cursor, *closers)
    cursor.outward = outer
    right = cursor.previous.text
    if len(items) == 1:
        if (left, right) not in (("(", ")"), ("[", "]")):
            raise AnswerSyntaxError("brackets do not match", start)
        return items[0]
    if (left, right) in (("(", ")"), ("[", "]")):
        return Seq(Kind(left + right), items)
    if len(items) == 2:
        return Interval(items[0], items[1], left == "[", right == "]")
    raise AnswerSyntaxError("brackets do not match", start)


def _french(cursor: Cursor, left: str) -> bool:
    """Whether `[a,b[` is meant: the bracket is closed by an opening one."""
    if left != "[":
        return False
    depth, previous, listed = 0, cursor.token, False
    for token in cursor.tokens[cursor.at + 1 :]:
        if token.kind == "op" and token.text in ("(", "["):
            if token.text == "[" and depth == 0 and listed and previous.text not in ("[", ",", ";", "("):
                return True
            depth += 1
        elif token.kind == "op" and token.text in (")", "]"):
            if depth == 0:
                return False
            depth -= 1
        listed = listed or (depth == 0 and token.text in (",", ";"))
        previous = token
    return False


def braces(cursor: Cursor) -> Node:
    """A set, listed or with its condition."""
    start = cursor.take()
    if cursor.is_op("\\}"):
        cursor.advance()
        return EMPTY
    if cursor.token.text.startswith("begin:"):
        system = environment(cursor, braced=True)
        if cursor.is_op("\\}"):
            cursor.advance()
        return system
    outer, cursor.braces, bars, cursor.bars = cursor.braces, 1, cursor.bars, 0
    first = item(cursor)
    cursor.braces = outer
    if cursor.is_op("|", ":") or (cursor.token.kind == "word" and cursor.token.text == "such"):
        return _builder(cursor, first, bars)
    cursor.bars = bars
    items = [first]
    while not cursor.is_op("\\}"):
        if cursor.token.kind == "end":
            raise AnswerSyntaxError("unclosed set", start.pos)
        if cursor.is_op(";"):
            cursor.advance()
        elif not comma(cursor):
            raise AnswerSyntaxError(f"unexpected {cursor.token.text!r}", cursor.token.pos)
        items.append(item(cursor))
    cursor.advance()
    if any(i == Const("dots") for i in items):
        return Seq(Kind.SET, lists.expanded(items, cursor.limits))
    return Seq(Kind.SET, tuple(items))


def _builder(cursor: Cursor, element: Node, bars: int) -> Node:
    cursor.advance(2 if cursor.token.text == "such" else 1)
    condition = alternatives(cursor)
    cursor.bars = bars
    cursor.expect("\\}")
    return Call(Head.BUILDER, (element, condition))


def group(cursor: Cursor) -> Node:
    """The content of braces, with the old infix commands."""
    cursor.advance()
    if cursor.is_op("}"):
        cursor.advance()
        return cursor.prefix()
    bars, cursor.bars, braces, cursor.braces = cursor.bars, 0, cursor.braces, 0
    cursor.depth += 1
    node = alternatives(cursor)
    if cursor.token.kind == "cmd" and cursor.token.text in ("over", "choose", "atop"):
        head = cursor.take().text
        node = Call(Head.DIV if head == "over" else Head.BINOM, (node, alternatives(cursor)))
    cursor.depth -= 1
    cursor.bars, cursor.braces = bars, braces
    cursor.expect("}")
    return node


def angles(cursor: Cursor) -> Node:
    r"""A tuple in angle brackets."""
    return Seq(Kind.ANGLE, elements(cursor, "|>"))


def rounded(cursor: Cursor) -> Node:
    r"""`\lfloor x \rfloor` and `\lceil x \rceil`."""
    name = cursor.take().text[1:]
    inner = cursor.expression(ANY)
    cursor.expect("r" + name)
    return Call(Head(name), (inner,))


def bars(cursor: Cursor) -> Node:
    """An absolute value or a norm."""
    start = cursor.take()
    mark = start.text
    cursor.bars += 1
    inner = cursor.expression(ANY)
    cursor.bars -= 1
    if not cursor.is_op(mark):
        raise AnswerSyntaxError("unclosed bar", start.pos)
    cursor.advance()
    return Call(Head.ABS if mark == "|" else Head.NORM, (inner,))
