"""Whether a text names things, by their words: case, accents of writing and punctuation aside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from reward_servers.engines.text import composed

_CAPITAL = r"(?:(?:St|Mt|Dr|Mr|Mrs|Ms|Prof)\.|[A-ZÀ-ÖØ-Þ][\w'’.-]*\w|[A-ZÀ-ÖØ-Þ]|\d+)"
_JOINING = r"(?:of|the|and|de|del|della|di|da|du|des|la|le|von|van|der|den|zu|y|e|&)"
_NAME = re.compile(rf"\b{_CAPITAL}(?:\s+(?:{_JOINING}\s+){{0,2}}{_CAPITAL})*")
_NO_NAMES = frozenset(
    re.findall(
        r"\w+",
        "a an the it its he she they his her their this that these those there in on at by to for from with and or as "
        "but if when while after before since because however both each every some all one who which what where so we "
        "you i my our your not no",
    )
)
"""Words that a sentence begins with and no name does."""
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Point = Words | tuple[Words, ...]
"""Something to name: one text, or several ways to write it."""


def folded(text: str) -> str:
    """The words of a text, between single spaces, in small letters."""
    return " ".join(re.findall(r"\w+", composed("NFKC", text).casefold()))


def ways_of(point: Point) -> tuple[str, ...]:
    """The ways to write a point."""
    return (point,) if isinstance(point, str) else point


def named_in(points: Sequence[Point], text: str) -> list[str | None]:
    """For each point the first of its ways that a text holds as whole words; None where it holds none."""
    padded = f" {folded(text)} "
    return [next((way for way in ways_of(point) if f" {folded(way)} " in padded), None) for point in points]


def names_of(text: str) -> list[str]:
    """What a text may call things by: its runs of capitalised words and numbers, each once, in order.

    Scripts without capitals have none.
    """
    names: dict[str, None] = {}
    for match in _NAME.finditer(text):
        words = match[0].split()
        while words and words[0].casefold() in _NO_NAMES:
            words.pop(0)
        name = " ".join(words)
        if any(letter.isupper() for letter in name):
            names.setdefault(name)
    return list(names)
