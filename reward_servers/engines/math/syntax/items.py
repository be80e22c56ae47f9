"""The outer levels of an answer: alternatives, lists and their elements."""

from __future__ import annotations

import functools

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Kind, Node
from reward_servers.engines.math.syntax import lists
from reward_servers.engines.math.syntax.cursor import ANY, Cursor
from reward_servers.engines.math.syntax.declarations import declaration
from reward_servers.engines.math.vocabulary.tables import names

_SEPARATOR_WORDS = names("and or where for with when")


def alternatives(cursor: Cursor) -> Node:
    """Parts joined by `or`; then by `;`; then by commas and `and`."""
    parts = [_semicolons(cursor)]
    while cursor.is_word("or") or cursor.is_op("∨"):
        cursor.advance()
        parts.append(_semicolons(cursor))
    return parts[0] if len(parts) == 1 else lists.join(Kind.OR, parts)


def _semicolons(cursor: Cursor) -> Node:
    parts = [_commas(cursor)]
    while cursor.is_op(";") or (cursor.is_op("\\\\") and cursor.depth == 0):
        cursor.advance()
        parts.append(_commas(cursor))
    return parts[0] if len(parts) == 1 else lists.join(Kind.LIST, parts)


def _commas(cursor: Cursor) -> Node:
    items, joined_by_and, joined_by_or = [item(cursor)], True, False
    joint = cursor.token
    while comma(cursor):
        joined_by_and = joined_by_and and joint.text.lower() in ("and", "∧")
        joined_by_or = joined_by_or or cursor.previous.text.lower() == "or"
        items.append(item(cursor))
        joint = cursor.token
    if joined_by_or and len(items) == 2:
        return lists.join(Kind.OR, items)
    if joined_by_and and lists.is_conjunction(items):
        return functools.reduce(lambda a, b: Call(Head.INTERSECT, (a, b)), items)
    return lists.listed(items, cursor.limits)


def comma(cursor: Cursor) -> bool:
    """Pass over `,`, `and`, `, and`, `where` ...; False where no list goes on."""
    if cursor.is_op(",") and cursor.peek().text in ("&", "\\\\", "end:cases"):
        cursor.advance(cursor.depth == 0)  # at the end of a row the comma is punctuation
        return False
    start = cursor.at
    while cursor.is_op(",", "∧") or (
        cursor.token.kind == "word"
        and cursor.token.text.lower() in _SEPARATOR_WORDS - ({"or"} if cursor.at == start else set())
    ):
        if cursor.token.text.lower() == "or" and cursor.at > start:
            break
        cursor.advance()
        if cursor.is_op(",") and cursor.previous.text == ",":
            raise AnswerSyntaxError("an empty place in a list", cursor.token.pos)
    if cursor.at > start and cursor.is_word("or"):
        cursor.advance()
    return cursor.at > start


def item(cursor: Cursor) -> Node:
    """One element of a list: an expression with its relations, or a condition in words."""
    condition = declaration(cursor)
    return cursor.expression(ANY) if condition is None else condition
