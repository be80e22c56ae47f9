"""The words of a text for comparison: without case. The words of a compound also count singly."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from typing import NamedTuple

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_PART = re.compile(r"[^\W\d_]+")
_KEPT = "".join(chr(code).lower() if chr(code).isalpha() or chr(code) in "-'" else " " for code in range(128))
"""What ASCII becomes where words are all that counts; the signs stay that may join them."""

_NO_LETTER = "\u0345"
"""The one sign that is no letter, and becomes one without case: behind a word it would be the word's last letter."""


def words_of(text: str) -> tuple[Set[str], Set[str]]:
    """The words of a text and their parts: `twenty-one` is one word of two parts."""
    if not text.isascii():
        folded = text.replace(_NO_LETTER, " ").casefold()
        return set(WORD.findall(folded)), set(_PART.findall(folded))
    # The same without a search, for texts that have a sign.
    words = set(text.translate(_KEPT).split())
    if "-" not in text and "'" not in text:
        return words, words
    signed = {word for word in words if not word.isalpha()}
    plain = words - signed
    return plain.union(*map(WORD.findall, signed)), plain.union(*map(_PART.findall, signed))


def spelt(words: str) -> frozenset[str]:
    """Words that are written with spaces between them."""
    return frozenset(words.split())


words_of_statement = lru_cache(maxsize=256)(words_of)
"""The same for a statement: several rules and comparisons ask for them."""


class Rule(NamedTuple):
    """A pattern that is searched for only where it can be.

    Attributes:
        pattern: The pattern.
        words: Sets of parts of words, without case: every match holds one of each; or
        signs: signs of writing without spaces of which it holds one.
    """

    pattern: re.Pattern[str]
    words: tuple[frozenset[str], ...]
    signs: str = ""

    def may_match(self, text: str) -> bool:
        """Whether a text has the words and signs that every match needs."""
        parts = words_of_statement(text)[1]
        if not any(words.isdisjoint(parts) for words in self.words):
            return True
        return bool(self.signs) and not text.isascii() and not frozenset(self.signs).isdisjoint(text)

    def matches(self, text: str) -> bool:
        """Whether the pattern is somewhere in a text."""
        return self.may_match(text) and self.pattern.search(text) is not None
