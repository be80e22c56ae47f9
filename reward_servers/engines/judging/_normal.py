"""The one form in which everything around a judge is compared: what a candidate wrote and what the judge wrote."""

from __future__ import annotations

import html
import re
import unicodedata

_SIGNS = str.maketrans(
    {"−": "-", "‐": "-", "‑": "-", "≠": "!=", "≫": ">>", "≪": "<<", "＝": "=", "：": ":", "∶": ":", "։": ":", "ː": ":"}
)
_LOOKALIKES = str.maketrans(
    # Cyrillic and Greek letters that a reader takes for Latin ones.
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁһԛԝ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ",
    "ABESIJKMHOPCTYXaesijopcyxdhqw" + "ABEZHIKMNOPTYXovp",
)
_EMPHASIS = re.compile(
    r"\*+|`+|(?<![^\W_])_+(?=\w)|(?<=\w)_+(?![^\W])|~~|\\(?:boxed|textbf|text|mathbf)\{([^{}\n]{0,80})\}"
)
_SPACES = re.compile(r"[^\S\n]+")
_OPENING = "\"'“‘«„「『"
_CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“”", "「": "」", "『": "』"}
_LONGEST_QUOTE = 500


def normal(text: str) -> str:
    """Bring a text to that form.

    HTML entities and compatibility characters (NFKC) are undone, digits of all scripts and letters that look like Latin
    ones become those, invisible characters and Markdown emphasis are dropped, and every run of blanks is one space.
    Line breaks stay.
    """
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _latin(text)
    text = _EMPHASIS.sub(lambda mark: mark[1] or "", text) if any(mark in text for mark in "*`_~\\") else text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SPACES.sub(" ", text)


def _latin(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS).translate(_LOOKALIKES)
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
    # Variation selectors and joiners are invisible: they neither separate nor belong to what stands beside them.
    return "" if category == "Cf" or "\ufe00" <= mark <= "\ufe0f" else mark


def mentioned(text: str) -> list[tuple[int, int]]:
    """Spans that only mention: block quotes, and quotations within a line."""
    spans: list[tuple[int, int]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(">"):
            spans.append((at, at + len(line)))
        else:
            spans += [(at + start, at + end) for start, end in _quotations(line)]
        at += len(line)
    return spans


def _quotations(line: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(line):
        mark = line[at]
        opens = mark in _OPENING and not (at and (line[at - 1].isalnum() or line[at - 1] in "\\"))
        end = _quotation_end(line, at) if opens else -1
        if end > 0:
            found.append((at, end))
            at = end
        else:
            at += 1
    return found


def _quotation_end(line: str, start: int) -> int:
    closing = _CLOSING[line[start]]
    for at in range(start + 1, min(len(line), start + _LONGEST_QUOTE)):
        follows_word = at + 1 < len(line) and line[at + 1].isalnum()
        if line[at] in closing and not follows_word and line[at - 1] != "\\":
            return at + 1
    return -1
