"""Whether a text names things, by their words: case, accents of writing and punctuation aside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from reward_servers.engines.text import composed

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
    said = f" {folded(text)} "
    return [next((way for way in ways_of(point) if f" {folded(way)} " in said), None) for point in points]
