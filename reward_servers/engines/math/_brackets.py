"""Brackets of every kind: grouping, tuples, intervals, sets, absolute values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _lists
from ._errors import AnswerSyntaxError
from ._nodes import EMPTY, Call, Const, Interval, Node, Seq

if TYPE_CHECKING:
    from ._parser import Parser


def elements(parser: Parser, *closers: str) -> tuple[Node, ...]:
    """Elements up to one of `closers`, which is passed over; the opener is under the cursor."""
    start = parser.take().pos
    if parser.is_op(*closers):
        raise AnswerSyntaxError("empty brackets", start)
    bars, parser.bars = parser.bars, 0
    braces, parser.braces = parser.braces, 0
    parser.depth += 1
    items = [parser.item()]
    while not parser.is_op(*closers):
        if parser.token.kind == "end":
            raise AnswerSyntaxError("unclosed bracket", start)
        if not (parser.is_op(";") or parser.comma()):
            raise AnswerSyntaxError(f"unexpected {parser.token.text!r}", parser.token.pos)
        if parser.is_op(";"):
            parser.at += 1
        items.append(parser.item())
    parser.depth -= 1
    parser.bars, parser.braces = bars, braces
    parser.at += 1
    if any(i == Const("dots") for i in items):
        return _lists.expanded(items, parser.limits)
    return tuple(items)


def bracketed(parser: Parser) -> Node:
    """Parentheses and square brackets: grouping, tuple, or interval."""
    left = parser.token.text
    start = parser.token.pos
    closers = ("[", "]", ")") if left == "]" else (")", "]", "[") if _french(parser, left) else (")", "]")
    outer, parser.outward = parser.outward, "[" in closers
    items = elements(parser, *closers)
    parser.outward = outer
    right = parser.tokens[parser.at - 1].text
    if len(items) == 1:
        if (left, right) not in (("(", ")"), ("[", "]")):
            raise AnswerSyntaxError("brackets do not match", start)
        return items[0]
    if (left, right) in (("(", ")"), ("[", "]")):
        return Seq(left + right, items)
    if len(items) == 2:
        return Interval(items[0], items[1], left == "[", right == "]")
    raise AnswerSyntaxError("brackets do not match", start)


def _french(parser: Parser, left: str) -> bool:
    """Whether `[a,b[` is meant: the bracket is closed by an opening one."""
    if left != "[":
        return False
    depth, previous = 0, parser.token
    for token in parser.tokens[parser.at + 1 :]:
        if token.kind == "op" and token.text in ("(", "["):
            if token.text == "[" and depth == 0 and previous.text not in ("[", ",", ";", "("):
                return True
            depth += 1
        elif token.kind == "op" and token.text in (")", "]"):
            if depth == 0:
                return False
            depth -= 1
        previous = token
    return False


def braces(parser: Parser) -> Node:
    start = parser.take()
    if parser.is_op("\\}"):
        parser.at += 1
        return EMPTY
    if parser.token.text.startswith("begin:"):
        system = _lists.environment(parser)
        if parser.is_op("\\}"):
            parser.at += 1
        return system
    outer, parser.braces, bars, parser.bars = parser.braces, 1, parser.bars, 0
    first = parser.item()
    parser.braces = outer
    if parser.is_op("|", ":") or (parser.token.kind == "word" and parser.token.text == "such"):
        return _builder(parser, first, bars)
    parser.bars = bars
    items = [first]
    while not parser.is_op("\\}"):
        if parser.token.kind == "end":
            raise AnswerSyntaxError("unclosed set", start.pos)
        if parser.is_op(";"):
            parser.at += 1
        elif not parser.comma():
            raise AnswerSyntaxError(f"unexpected {parser.token.text!r}", parser.token.pos)
        items.append(parser.item())
    parser.at += 1
    if any(i == Const("dots") for i in items):
        return Seq("{}", _lists.expanded(items, parser.limits))
    return Seq("{}", tuple(items))


def _builder(parser: Parser, element: Node, bars: int) -> Node:
    parser.at += 2 if parser.token.text == "such" else 1
    condition = parser.alternatives()
    parser.bars = bars
    parser.expect("\\}")
    return Call("builder", (element, condition))


def group(parser: Parser) -> Node:
    parser.at += 1
    if parser.is_op("}"):
        parser.at += 1
        return parser.prefix()
    bars, parser.bars, braces, parser.braces = parser.bars, 0, parser.braces, 0
    parser.depth += 1
    node = parser.alternatives()
    if parser.token.kind == "cmd" and parser.token.text in ("over", "choose", "atop"):
        head = parser.take().text
        node = Call("div" if head == "over" else "binom", (node, parser.alternatives()))
    parser.depth -= 1
    parser.bars, parser.braces = bars, braces
    parser.expect("}")
    return node


def bars(parser: Parser, mark: str) -> Node:
    start = parser.take()
    parser.bars += 1
    inner = parser.expression(0)
    parser.bars -= 1
    if not parser.is_op(mark):
        raise AnswerSyntaxError("unclosed bar", start.pos)
    parser.at += 1
    return Call("abs" if mark == "|" else "norm", (inner,))
