"""Numerals in a base: `1011_2`, `3F base 16`, `0x3F`."""

from __future__ import annotations

import re
from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Node, Num, Text
from reward_servers.engines.math.syntax.cursor import Cursor
from reward_servers.engines.math.syntax.scripts import raw_script
from reward_servers.engines.math.syntax.tokens import Token
from reward_servers.engines.math.vocabulary.words import BASE_WORDS

_BASE = re.compile(
    r"\(?(?:\\(?:text|mathrm)\s*\{)?"
    r"(?P<digits>[0-9A-Fa-f]+(?:(?:\\[,;: ]|\{,\}| )[0-9A-Fa-f]{3,4})*(?:\.[0-9A-Fa-f]+)?)\}?\)?\s*_\s*"
    r"\{?\s*(?:\\(?:text|mathrm|textbf|rm)\s*\{)?\s*\(?(?:base[\s-]*\}?\s*)?(?P<base>[0-9]{1,2}|[a-z]+)\)?\s*\}?\s*\}?|(?P<plain>[0-9A-Fa-f]+)\s*\(?(?:\\text\s*\{)?[\s(]*base[\s-]*(?:\})?\s*"
    r"(?P<word>[0-9]{1,2}|[a-z]+)[\s)}]*|0(?P<prefix>[bxo])(?P<code>[0-9A-Fa-f]+)"
)
_APART = re.compile(r"\\?[,;: {}]")


def numeral(text: str) -> Node | None:
    """The numeral that a whole text is, None where it is none."""
    match = _BASE.fullmatch(text.strip().strip("$").strip()) if len(text) < 400 else None
    if match is None:
        return None
    if match["prefix"]:
        digits, base = match["code"], {"b": 2, "x": 16, "o": 8}[match["prefix"]]
    else:
        digits, name = _APART.sub("", match["digits"] or match["plain"]), match["base"] or match["word"]
        base = int(name) if name.isdigit() else BASE_WORDS.get(name, 0)
    is_word = not any(c.isdigit() for c in digits) and not (base == 16 and len(digits) > 1)
    if is_word or not 2 <= base <= 16 or any(int(c, 16) >= base for c in digits if c != "."):
        return None
    return Call(Head.BASE, (Text(digits.upper().lstrip("0") or "0"), Num(Fraction(base))))


def subscripted(cursor: Cursor, numeral: Token) -> Node:
    """The base below a numeral that was just passed."""
    cursor.advance()
    name = raw_script(cursor).strip("()")
    base = int(name) if name.isdigit() else BASE_WORDS.get(name, 0)
    if not 2 <= base <= 16 or any(int(c) >= base for c in numeral.text):
        raise AnswerSyntaxError("no numeral in that base", numeral.pos)
    return Call(Head.BASE, (Text(numeral.text.lstrip("0") or "0"), Num(Fraction(base))))
