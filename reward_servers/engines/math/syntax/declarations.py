"""Conditions in words beside an answer: `any integer k`, `k is an integer`, `for all real x`."""

from __future__ import annotations

from reward_servers.engines.math.nodes import Const, Node, Rel, Sym
from reward_servers.engines.math.syntax.cursor import ANY, Cursor
from reward_servers.engines.math.vocabulary.tables import names

_SETS_IN_WORDS = {"integer": Const("Z"), "integers": Const("Z"), "constant": Const("R"), "constants": Const("R")}
_DECLARING = names("a an any some arbitrary real constant constants integer integers number")
_QUANTIFIERS = names("any all some every each an is real arbitrary")


def declaration(cursor: Cursor) -> Node | None:
    """`any integer k`, `integers n`: a condition in words, as `k in Z`."""
    token = cursor.token
    if token.kind == "let":
        return _declared(cursor)
    if token.kind != "word":
        return None
    ahead = 0
    while cursor.peek(ahead).kind == "word" and cursor.peek(ahead).text.lower() in _QUANTIFIERS:
        ahead += 1
    word = cursor.peek(ahead)
    if ahead and word.kind == "let" and cursor.previous.text.lower() == "for":
        return _everywhere(cursor, ahead)
    values = _SETS_IN_WORDS.get(word.text.lower()) if word.kind == "word" else None
    if values is None or cursor.peek(ahead + 1).kind != "let":
        return None
    name = cursor.peek(ahead + 1).text
    cursor.advance(ahead + 2)
    return Rel(("in",), (Sym(name), values))


def _everywhere(cursor: Cursor, ahead: int) -> Node | None:
    """`for all x`, `for all real x`, `for every x in R`: after the quantifier, the condition alone."""
    following = cursor.peek(ahead + 1)
    if following.kind not in ("end", "rel") and following.text != ",":
        return None
    cursor.advance(ahead)
    if following.kind == "rel":
        return cursor.expression(ANY)
    return Rel(("in",), (Sym(cursor.take().text), Const("R")))


def _declared(cursor: Cursor) -> Node | None:
    """`k is an integer`, `C_2 are constants`; None where the letter begins something else."""
    start = 1
    if cursor.peek().text == "_":
        start = 3 if cursor.peek(2).text != "{" else 5
    if cursor.peek(start).kind != "word" or cursor.peek(start).text.lower() not in ("is", "are"):
        return None
    declared: list[str] = []
    while cursor.peek(start + 1 + len(declared)).kind == "word":
        declared.append(cursor.peek(start + 1 + len(declared)).text.lower())
    following = cursor.peek(start + 1 + len(declared))
    integers = not {"integer", "integers"}.isdisjoint(declared)
    is_number_set = integers or not {"constant", "constants", "real"}.isdisjoint(declared)
    if (
        not is_number_set
        or not _DECLARING.issuperset(declared)
        or not (following.kind == "end" or following.text in (",", ")"))
    ):
        return None
    name = cursor.prefix()
    cursor.advance(1 + len(declared))
    return Rel(("in",), (name, Const("Z" if integers else "R")))
