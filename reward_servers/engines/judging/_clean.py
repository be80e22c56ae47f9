"""Brings a reply to the form in which verdicts are looked for, and finds what only mentions a verdict."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["clean", "comparable", "mentioned", "plain", "plain_places"]

_SIGNS = str.maketrans({"：": ":", "＝": "=", "≠": "≠", "−": "-", "﹣": "-", "－": "-", "\u00a0": " ", "\u202f": " "})
_EMPHASIS = re.compile(r"\*+|`+|(?<![^\W_])_+(?=\w)|(?<=\w)_+(?![^\W])|~~")
_OPENING = "\"'“‘«„「『"
_CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“”", "「": "」", "『": "』"}
_LONGEST_QUOTE = 500


def clean(text: str) -> str:
    """Undoes HTML entities, decimal digits of other scripts, and typographic variants of signs."""
    if "&" in text:
        text = html.unescape(text)
    if text.isascii():
        return text
    text = text.translate(_SIGNS)
    text = text.replace("≠", "!=").replace("≫", ">>").replace("≪", "<<").replace("＞", ">").replace("＜", "<")
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(mark)) if not mark.isascii() and mark.isdecimal() else mark for mark in text)


def plain(text: str) -> str:
    """Removes Markdown emphasis; single underscores inside words stay."""
    return _EMPHASIS.sub("", text) if any(mark in text for mark in "*`_~") else text


def plain_places(text: str) -> tuple[str, list[int]]:
    """The same, with the place in ``text`` of each character that is left."""
    kept: list[int] = []
    at = 0
    for mark in _EMPHASIS.finditer(text):
        kept += range(at, mark.start())
        at = mark.end()
    kept += range(at, len(text))
    return "".join(text[place] for place in kept), kept


def comparable(text: str) -> str:
    """The form in which a verdict and a judged text are compared: no emphasis, one space, one case."""
    return " ".join(plain(clean(text)).casefold().split())


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
