"""Words where an expression may begin: numbers written out, names of values, labels, hedges."""

from __future__ import annotations

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Const, Head, Kind, Node, Num, Quantity, Rel, Seq, Sym, Text, neg
from reward_servers.engines.math.syntax.cursor import ANY, Cursor
from reward_servers.engines.math.syntax.items import alternatives
from reward_servers.engines.math.vocabulary.units import CURRENCY_CODES
from reward_servers.engines.math.vocabulary.words import (
    HEDGES,
    LABEL_WORDS,
    NEGATIONS,
    NUMBER_WORDS,
    TEXT_VALUES,
    number_from_words,
    text_key,
)

_JOINING = frozenset(
    {"and", "or", "where", "for", "with", "when", "if", "so", "then", "have", "get", "thus", "therefore"}
)


def words(cursor: Cursor) -> Node:
    """Words where an operand is due."""
    start = cursor.at
    words: list[str] = []
    while cursor.token.kind == "word" or (
        cursor.is_op("-") and cursor.peek().kind == "word" and words and not cursor.token.spaced
    ):
        if cursor.token.kind == "word":
            words.append(cursor.token.text)
        cursor.advance()
    number = _number_words(cursor, words, start)
    if number is not None:
        return number
    if len(words) == 1 and words[0] in CURRENCY_CODES:
        cursor.advance(cursor.is_op("."))
        if cursor.token.kind == "num":
            return Quantity(cursor.prefix(), CURRENCY_CODES[words[0]])
    key = text_key(" ".join(words))
    if key == "negative infinity":
        return neg(Const("oo"))
    if words[-1].lower() in ("negative", "minus") and _only_labels(words[:-1]) and cursor.token.kind in ("num", "cmd"):
        return neg(cursor.prefix())
    if key in ("constant", "arbitrary constant") and start > 0:
        return Sym("const")
    value = TEXT_VALUES.get(key)
    if value is not None and not (cursor.token.kind == "let" and value == "Z"):
        return Const(value)
    if words[-1].lower() in ("except", "excluding", "but") and TEXT_VALUES.get(text_key(" ".join(words[:-1]))) == "R":
        removed = alternatives(cursor)
        holes = removed.items if isinstance(removed, Seq) else (removed,)
        return Call(
            Head.SETMINUS, (Const("R"), Seq(Kind.SET, tuple(h.terms[-1] if isinstance(h, Rel) else h for h in holes)))
        )
    for word in words:
        if word.lower() in NEGATIONS:
            raise AnswerSyntaxError("a negation", cursor.tokens[start].pos)
        if word.lower() in HEDGES:
            raise AnswerSyntaxError("a hedge", cursor.tokens[start].pos)
    if cursor.token.kind == "rel" and cursor.token.text in ("=", "~") and words[-1].lower() not in ("and", "or"):
        return Text(text_key(" ".join(words)))
    if (letter_node := _lettered(cursor, words)) is not None:
        return letter_node
    if cursor.is_op(":") and start == 0:
        cursor.advance()
        return cursor.expression(ANY)
    quantified = start == 0 and words[-1].lower() in ("all", "every", "any") and cursor.peek().kind == "rel"
    if (_only_labels(words[:-1]) if quantified else _only_labels(words)) and cursor.token.kind != "end":
        if start == 0 and cursor.is_op(","):
            cursor.advance()
        return cursor.expression(ANY) if start == 0 or cursor.depth == 0 else cursor.prefix()
    raise AnswerSyntaxError("words", cursor.tokens[start].pos)


def _lettered(cursor: Cursor, words: list[str]) -> Node | None:
    """`area of triangle ABC = ...`: the words and the letters after them name what follows."""
    ahead = 0
    while cursor.peek(ahead).kind == "let" and ahead < 8:
        ahead += 1
    if not ahead or cursor.peek(ahead).text != "=" or words[-1].lower() in _JOINING:
        return None
    letters = [cursor.take().text for _ in range(ahead)]
    return Text(text_key(" ".join((*words, "".join(letters)))))


def _only_labels(words: list[str]) -> bool:
    return all(w.lower() in LABEL_WORDS for w in words)


def _number_words(cursor: Cursor, words: list[str], start: int) -> Node | None:
    length = 0
    while length < len(words) and all(p in NUMBER_WORDS or p in ("and", "a") for p in words[length].lower().split("-")):
        length += 1
    while length and words[length - 1].lower() in ("and", "a"):
        length -= 1
    if not length:
        return None
    value = number_from_words(words[:length])
    if value is None:
        return None
    cursor.at = start
    for _ in range(length):  # a hyphen between words counts as its own token
        cursor.advance(1 if cursor.token.kind == "word" else 2)
    return Num(value, 0)
