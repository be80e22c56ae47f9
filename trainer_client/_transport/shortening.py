"""Long lists in a message: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 8
"""Entries that a message names; a registry may list thousands."""


def few(words: Iterable[str], between: str = "; ") -> str:
    """The first of many words, and how many are left out."""
    listed = list(words)
    left = len(listed) - _SHOWN
    return between.join(listed[:_SHOWN]) + (f"{between}and {left} more" if left > 0 else "")
