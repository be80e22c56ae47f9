"""The one form in which everything around a judge is compared: what a candidate wrote and what the judge wrote."""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from reward_servers.engines.text import composed

_SIGNS = str.maketrans(
    {
        "−": "-",
        "‐": "-",
        "‑": "-",
        "≠": "!=",
        "≫": ">>",
        "≪": "<<",
        "＝": "=",
        "：": ":",
        "∶": ":",
        "։": ":",
        "ː": ":",
        "∕": "/",
        "⁄": "/",
    }
)
_LOOKALIKES = str.maketrans(
    # Cyrillic and Greek letters that a reader takes for Latin ones.
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁһԛԝ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ",
    "ABESIJKMHOPCTYXaesijopcyxdhqw" + "ABEZHIKMNOPTYXovp",
)
_REVERSING = "\u202d\u202e"
"""Overrides of the direction: what is shown behind one is not in the order in which it is written."""
_MARKS = r"\*+|`+|(?<![^\W_])_+(?=\w)|(?<=\w)_+(?![^\W])|~~|\\(?:{}textbf|text|mathbf)\{{([^{{}}\n]{{0,80}})\}}"
_EMPHASIS = re.compile(_MARKS.format("boxed|"))
_EMPHASIS_BUT_BOXES = re.compile(_MARKS.format(""))
_MORE_LOOKALIKES = {
    # Greek, Coptic, Cherokee, Armenian and Lisu letters that do so.
    ord(mark): letter
    for letter, marks in {
        **{"a": "α", "c": "ϲⲥꮯᏟꓚ", "e": "ⲉꭼᎬꓰε", "g": "ցɡ", "h": "հ", "i": "ι", "n": "ո", "o": "ⲟօꓳο", "p": "ⲣρ"},
        **{"r": "ꭱᎡꓣ", "s": "ꮪᏚꓢ", "t": "ⲧꭲᎢꓔτ", "u": "սυ", "y": "ⲩꓬγ"},
    }.items()
    for mark in marks
}
_NAMED_LETTER = re.compile(
    r"(?:LATIN (?:CAPITAL |SMALL )?LETTER (?:SMALL CAPITAL )?|(?:CAPITAL|SMALL|SYMBOL) LETTER )([A-Z])(?: WITH .*)?$"
)
_STRUCK = re.compile(r"~~[^\n]{1,500}?~~|<(s|del|strike)>[^\n]{0,500}?</\1>", re.IGNORECASE)
_SPACES = re.compile(r"[^\S\n]+")
_CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“”", "「": "」", "『": "』"}
_QUOTES = re.compile(f"[{''.join(_CLOSING)}]")
_CLOSERS = {mark: re.compile(f"[{closing}]") for mark, closing in _CLOSING.items()}
_LONGEST_QUOTE = 500


def normal(text: str, *, boxes: bool = False) -> str:
    r"""Bring a text to that form.

    HTML entities and compatibility characters (NFKC) are undone, but for those that are numbers without being decimal
    digits; digits of all scripts and letters that look like Latin ones become those, invisible characters and Markdown
    emphasis are dropped, and every run of blanks is one space. Line breaks stay, and ``\boxed{}`` with ``boxes``.
    """
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _latin(text)
    if any(mark in text for mark in "*`_~\\"):
        text = (_EMPHASIS_BUT_BOXES if boxes else _EMPHASIS).sub(_emphasised, text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SPACES.sub(" ", text)


def _emphasised(mark: re.Match[str]) -> str:
    """What is emphasised; a mark between two digits stays, for without it they would be another number."""
    inner = mark[1] or ""
    before = mark.string[max(0, mark.start() - 1) : mark.start()]
    after = mark.string[mark.end() : mark.end() + 1]
    seams = ((before, inner[:1]), (inner[-1:], after)) if inner else ((before, after),)
    return mark[0] if any(left.isdecimal() and right.isdecimal() for left, right in seams) else inner


def without_struck(text: str) -> str:
    """A text without what its writer struck out."""
    return _STRUCK.sub(" ", text) if "~~" in text or "<" in text else text


def _latin(text: str) -> str:
    text = text.translate(_SIGNS)
    # A fraction, a superscript or a number in a circle is not the digits that it would be written with.
    numerals = "".join(mark for mark in set(text) if mark.isnumeric() and unicodedata.category(mark) in ("No", "Nl"))
    pieces = re.split(f"([{re.escape(numerals)}])", text) if numerals else [text]
    text = "".join(piece if place % 2 else composed("NFKC", piece) for place, piece in enumerate(pieces))
    text = text.translate(_SIGNS).translate(_LOOKALIKES)
    if text.isascii():
        return text
    return "".join(map(_character, text))


def _character(mark: str) -> str:
    if mark.isascii():
        return mark
    if mark.isdecimal():
        return str(unicodedata.decimal(mark))
    category = unicodedata.category(mark)
    if category in ("Zl", "Zp"):
        return "\n"
    if mark in _REVERSING:
        return mark
    # Variation selectors and joiners are invisible: they neither separate nor belong to what stands beside them.
    return "" if category == "Cf" or "\ufe00" <= mark <= "\ufe0f" else mark


def squeezed(text: str) -> str:
    """The letters and digits of a text, all that looks like a Latin letter as one, without marks, blanks and case.

    It finds words whatever stands between their letters, and is too coarse to read anything.
    """
    if not text.isascii():
        text = text.translate(_LOOKALIKES).translate(_MORE_LOOKALIKES)
        text = "".join(map(_letter, composed("NFKD", text)))
    return re.sub(r"[\W_]+", "", text.casefold())


@lru_cache(maxsize=8192)
def _letter(mark: str) -> str:
    if mark.isascii():
        return mark
    match = _NAMED_LETTER.search(unicodedata.name(mark, ""))
    return match[1] if match is not None else mark


def lies_within(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of some spans, in order and apart from each other, holds a place."""
    place = bisect_right(spans, start, key=lambda span: span[0]) - 1
    return place >= 0 and end <= spans[place][1]


def mentioned(text: str) -> list[tuple[int, int]]:
    """Spans that only mention: block quotes, and quotations within a line."""
    spans: list[tuple[int, int]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(">"):
            spans.append((at, at + len(line)))
        elif len(line) > 1:
            spans += [(at + start, at + end) for start, end in _quotations(line)]
        at += len(line)
    return spans


def _quotations(line: str) -> list[tuple[int, int]]:
    quotations: list[tuple[int, int]] = []
    at = 0
    ends: dict[str, int] = {}
    for opening in _QUOTES.finditer(line):
        start, mark = opening.start(), opening[0]
        if start < at or (start and (line[start - 1].isalnum() or line[start - 1] == "\\")):
            continue
        # Where one search for a mark ended, the next one for it goes on.
        end = ends[mark] = _quotation_end(line, mark, max(start + 1, ends.get(mark, 0)))
        if end - start < _LONGEST_QUOTE and end < len(line):
            at = end + 1
            quotations.append((start, at))
    return quotations


def _quotation_end(line: str, mark: str, start: int) -> int:
    """Where the next mark stands that can close a quotation; the length of the line where none does."""
    for closing in _CLOSERS[mark].finditer(line, start):
        at = closing.start()
        follows_word = at + 1 < len(line) and line[at + 1].isalnum()
        if not follows_word and line[at - 1] != "\\":
            return at
    return len(line)
