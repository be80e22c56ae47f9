"""Arguments of instructions, as files of prompts write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Argument = Callable[[Any], Any]
"""Turns what a file holds into what a check takes; raises ``ValueError`` for what is none."""

_RELATIONS = ("less than", "at least")


def count(value: Any) -> int:
    """A whole number that is not negative; files that went through a data frame hold ``3.0``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise ValueError(f"a whole number from 0, not {value!r}")
    return int(value)


def relation(value: Any) -> str:
    """``less than`` or ``at least``."""
    if value not in _RELATIONS:
        raise ValueError(f"'less than' or 'at least', not {value!r}")
    return str(value)


def text(value: Any) -> str:
    """A text that is not blank, without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"a text that is not blank, not {value!r}")
    return value.strip()


def letter(value: Any) -> str:
    """One character, in lower case."""
    character = text(value).lower()
    if len(character) != 1:
        raise ValueError(f"one character, not {value!r}")
    return character


def expression(value: Any) -> str:
    """A regular expression, which a plain word is."""
    pattern = text(value)
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"{pattern!r} is no regular expression ({error}); write a backslash before its signs"
        ) from None
    return pattern


def expressions(value: Any) -> tuple[str, ...]:
    """Several regular expressions."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"a list of texts, not {value!r}")
    return tuple(expression(item) for item in value)


def texts(value: Any) -> tuple[str, ...]:
    """Several texts."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"a list of texts, not {value!r}")
    return tuple(text(item) for item in value)
