"""Brackets with numbers that are no citations: formulas, intervals, arrays, matrices."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LATEX_MATH = re.compile(r"\\\((?:[^\\\n]|\\(?!\)))*\\\)|\\\[(?:[^\\]|\\(?!\]))*?\\\]|\$\$[^$]+\$\$")
_DOLLARS = re.compile(r"(?<![\\$\w])\$(?=[^\s$])((?:[^$\n\\]|\\.)*?)(?<=[^\s\\])\$(?![\d$])")
_WORDS = re.compile(r"(?<![\\\w{])[A-Za-z]{2,}\s+[A-Za-z]{2,}(?!\w)")
_TEXT_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[^{}]*\})?")
_SIGNS = r"[=≈∈∉⊂⊆→↦≤≥<>+×·∪∩^]|:=|\bx\s+in|\"\w+\"\s*:|'\w+'\s*:"
_STRONG_LEAD = re.compile(
    r"(?:\b(?:intervals?|arrays?|vectors?|matrix|tuple|permutation|coordinates?|lies?\s+(?:in|within)|falls?\s+(?:in|within)|belongs?\s+to|"
    r"restricted\s+to|normali[sz]ed\s+to|scaled\s+to|clipped\s+to|mapped\s+to|between|uniformly\s+(?:in|on|over)|(?:the|a)\s+(?:range|list|set|sequence))"
    r"(?:\s+(?:is|of|in|to|was|equals|becomes))?|" + _SIGNS + r")\s*$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"\b(?:range|list|set|sequence|row|column|domain|output|input|values?|elements?|numbers|indices|indexes|point|partition|bounds?|limits|returns?|"
    r"yields?|prints?|sorted|in|on|over|from|of|to|within|into|outside)(?:\s+(?:is|are|of|in|to|over|on|as|was|equals|becomes|gives))?\s*$",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"\s*(?:[=∪∩×·+⊂⊆∈]|(?:sums?|adds?)\s+(?:up\s+)?to\b|has\s+(?:a\s+)?(?:length|size|mean|sum|median|\d+\s+elements)|is\s+(?:a\s+|an\s+|the\s+)?"
    r"(?:sorted|interval|array|list|vector|permutation|sequence|empty|closed|open|increasing|decreasing)|contains?\s+(?:the\s+)?(?:elements?|numbers?)|"
    r"(?:interval|array|list|vector|sequence|range)\b|\.(?:append|sort|length|pop|index|reverse)\b|\[\d)",
    re.IGNORECASE,
)
_CALL = re.compile(r"\w\($")
_MATRIX = re.compile(r"\[\s*\[[\d\s.-]*,[\d\s,.-]*\](?:\s*,\s*\[[\d\s,.-]*\])*\s*\]")


def math_spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans of formulas with their marks: dollars, double dollars, and LaTeX's brackets; and matrices.

    A dollar opens a formula before something that is no white space and closes one behind such and before no digit
    (Pandoc's rule); what holds two words in a row is an amount of money and prose.
    """
    for match in _MATRIX.finditer(text):
        yield match.span()
    if "$" not in text and "\\" not in text:
        return
    for match in _LATEX_MATH.finditer(text):
        yield match.span()
    for match in _DOLLARS.finditer(text):
        if _WORDS.search(_TEXT_COMMAND.sub("", match[1])) is None:
            yield match.span()


def is_notation(text: str, start: int, end: int, content: str, resolves: bool) -> bool:
    """Whether a bracket of numbers is an interval, an array or a part of a formula.

    Args:
        text: The line or more around it.
        start: Place of the bracket.
        end: The place after it.
        content: What it holds: numbers.
        resolves: Whether each number names a document.
    """
    before = text[max(0, start - 60) : start]
    if before.rstrip(" ").endswith(("=", "∈")):
        return True
    if content.isdecimal() or len(numbers := re.findall(r"\d+", content)) < 2:
        return False
    behind = text[end : end + 60]
    if "0" in numbers and not resolves:
        return True
    if (
        _STRONG_LEAD.search(before) is not None
        or _FOLLOWS.match(behind) is not None
        or _CALL.search(before) is not None
    ):
        return True
    return not resolves and _LEAD.search(before) is not None
