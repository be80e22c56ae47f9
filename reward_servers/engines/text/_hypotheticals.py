"""Answers that are only supposed: "if the answer is 5", "suppose that the answer is B"."""

from __future__ import annotations

import re

_REACH = 48
_SUPPOSING = re.compile(
    r"(?<![^\W_])(?:if|whether|unless|suppos(?:e|ing)|assum(?:e|ing)|imagine|pretend|guess)\s+(?:that\s+)?(?:the\s+|our\s+|my\s+)?"
    r"(?:final\s+|correct\s+)?$",
    re.I,
)


def is_supposed(text: str, at: int) -> bool:
    """Whether the words right before a position make the statement there a supposition."""
    return _SUPPOSING.search(text[max(0, at - _REACH) : at]) is not None
