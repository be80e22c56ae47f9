"""Unicode normalisation of untrusted texts, in linear time."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

_MOST_MARKS = 30
"""Marks in a row that can belong to one letter: the bound of the Stream-Safe Text Format (UAX #15, section 13)."""
_ASCII = bytes(range(128))


def composed(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Bring a text to a normalisation form of Unicode.

    Marks are sorted by insertion, which takes the square of their number: of more than 30 in a row the rest are
    dropped first, as no writing has them.
    """
    if text.isascii():
        return text
    # ASCII has no marks, and is most of most texts: what is left of the bytes without it is looked at alone.
    others = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    marks = "".join(map(re.escape, filter(_is_mark, set(others)))) if len(others) > _MOST_MARKS else ""
    if marks:
        text = re.sub(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+", r"\1", text)
    return unicodedata.normalize(form, text)


@lru_cache(maxsize=8192)
def _is_mark(character: str) -> bool:
    """Whether it is a mark or, decomposed, begins with one."""
    return any(map(unicodedata.combining, unicodedata.normalize("NFKD", character)[:1]))
