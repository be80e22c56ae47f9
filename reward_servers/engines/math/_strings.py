"""Equality of strings after folding notation, for policies that ask for no algebra."""

from __future__ import annotations

import re

_REMOVED = re.compile(
    r"\\(?:left|right|displaystyle|,|;|:|!|quad|qquad|%|\$)(?![A-Za-z])|\\ |[\s$%]|\^\{?\\circ\}?"
    r"|\\(?:text|mbox|textrm)\{[^{}]*\}"
)
_KEPT = re.compile(r"\\(?:textbf|mathrm|mathbf|text|boxed|fbox)\{([^{}]*)\}")
_SHORT_FRACTION = re.compile(r"\\frac(?:(\d)(\d)|(\d)\{([^{}]+)\}|\{([^{}]+)\}(\d))")
_SHORT_ROOT = re.compile(r"\\sqrt(\w)")
_GROUPED = re.compile(r"-?\d{1,3}(?:(?:,|\{,\})\d{3})+(?:\.\d+)?")


def _whole_fraction(match: re.Match[str]) -> str:
    top, below = (group for group in match.groups() if group is not None)
    return f"\\frac{{{top}}}{{{below}}}"


def string_key(text: str) -> str:
    """Fold spacing, fraction shorthands, units in text, percent, degrees and thousands commas."""
    text = text.strip().rstrip(".")
    whole = _KEPT.fullmatch(text)
    if whole is not None:
        text = whole[1]
    text = text.rpartition("=")[2]
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    text = _REMOVED.sub("", text)
    text = _SHORT_FRACTION.sub(_whole_fraction, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = re.sub(r"^(-?\d+)/(\d+)$", r"\\frac{\1}{\2}", text)
    if _GROUPED.fullmatch(text):
        text = text.replace("{,}", "").replace(",", "")
    return text.lower() if text.isalpha() else text
