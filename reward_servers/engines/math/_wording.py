"""Words where an expression may begin: numbers written out, names of values, labels, hedges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import AnswerSyntaxError
from ._nodes import Call, Const, Node, Num, Quantity, Rel, Seq, Sym, Text, neg
from ._units import CURRENCY_CODES
from ._words import HEDGES, LABEL_WORDS, NEGATIONS, NUMBER_WORDS, TEXT_VALUES, number_from_words, text_key

if TYPE_CHECKING:
    from ._parser import Parser


_JOINING = frozenset(
    {"and", "or", "where", "for", "with", "when", "if", "so", "then", "have", "get", "thus", "therefore"}
)


def words(parser: Parser) -> Node:
    start = parser.at
    words: list[str] = []
    while parser.token.kind == "word" or (
        parser.is_op("-") and parser.peek().kind == "word" and words and not parser.token.spaced
    ):
        if parser.token.kind == "word":
            words.append(parser.token.text)
        parser.at += 1
    number = _number_words(parser, words, start)
    if number is not None:
        return number
    if len(words) == 1 and words[0] in CURRENCY_CODES:
        parser.at += parser.is_op(".")
        if parser.token.kind == "num":
            return Quantity(parser.prefix(), CURRENCY_CODES[words[0]])
    key = text_key(" ".join(words))
    if key == "negative infinity":
        return neg(Const("oo"))
    if words[-1].lower() in ("negative", "minus") and _only_labels(words[:-1]) and parser.token.kind in ("num", "cmd"):
        return neg(parser.prefix())
    if key in ("constant", "arbitrary constant") and start > 0:
        return Sym("const")
    value = TEXT_VALUES.get(key)
    if value is not None and not (parser.token.kind == "let" and value == "Z"):
        return Const(value)
    if words[-1].lower() in ("except", "excluding", "but") and TEXT_VALUES.get(text_key(" ".join(words[:-1]))) == "R":
        removed = parser.alternatives()
        holes = removed.items if isinstance(removed, Seq) else (removed,)
        return Call("setminus", (Const("R"), Seq("{}", tuple(h.terms[-1] if isinstance(h, Rel) else h for h in holes))))
    for word in words:
        if word.lower() in NEGATIONS:
            raise AnswerSyntaxError("a negation", parser.tokens[start].pos)
        if word.lower() in HEDGES:
            raise AnswerSyntaxError("a hedge", parser.tokens[start].pos)
    if parser.token.kind == "rel" and parser.token.text in ("=", "~") and words[-1].lower() not in ("and", "or"):
        return Text(text_key(" ".join(words)))
    if (named := _lettered(parser, words)) is not None:
        return named
    if parser.is_op(":") and start == 0:
        parser.at += 1
        return parser.expression(0)
    quantified = start == 0 and words[-1].lower() in ("all", "every", "any") and parser.peek().kind == "rel"
    if (_only_labels(words[:-1]) if quantified else _only_labels(words)) and parser.token.kind != "end":
        if start == 0 and parser.is_op(","):
            parser.at += 1
        return parser.expression(0) if start == 0 or parser.depth == 0 else parser.prefix()
    raise AnswerSyntaxError("words", parser.tokens[start].pos)


def _lettered(parser: Parser, words: list[str]) -> Node | None:
    """`area of triangle ABC = ...`: the words and the letters after them name what follows."""
    ahead = 0
    while parser.peek(ahead).kind == "let" and ahead < 8:
        ahead += 1
    if not ahead or parser.peek(ahead).text != "=" or words[-1].lower() in _JOINING:
        return None
    letters = [parser.take().text for _ in range(ahead)]
    return Text(text_key(" ".join((*words, "".join(letters)))))


def _only_labels(words: list[str]) -> bool:
    return all(w.lower() in LABEL_WORDS for w in words)


def _number_words(parser: Parser, words: list[str], start: int) -> Node | None:
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
    parser.at = start
    for _ in range(length):  # a hyphen between words counts as its own token
        parser.at += 1 if parser.tokens[parser.at].kind == "word" else 2
    return Num(value, 0)
