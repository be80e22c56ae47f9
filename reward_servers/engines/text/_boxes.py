r"""Boxes: ``\boxed{...}``, ``\fbox{...}`` and ``\boxed 5``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BRACES = re.compile(r"[{}]|\\.", re.S)
_BARE = re.compile(r"\s*((?:\\[A-Za-z]+\s*(?:\{[^{}]*\})*|[^\s$\\{}.,;]+|\.[0-9])+)")
_SPACES = frozenset(" \t\n")
OPENING = r"\\(?:boxed|fbox)(?![A-Za-z])"
"""The pattern of the command that opens a box."""
_BOX = re.compile(OPENING)


class Box(NamedTuple):
    """A box in a text.

    Attributes:
        start: First position of its content.
        end: The position behind its content.
        after: The position behind the box.
    """

    start: int
    end: int
    after: int


def box_before(text: str, limit: int | None = None) -> int:
    r"""Where the last ``\boxed`` before a position is, else the last ``\fbox``; -1 for neither."""
    at = text.rfind("\\boxed", 0, limit)
    return at if at >= 0 else text.rfind("\\fbox", 0, limit)


def read_box(text: str, at: int) -> Box | None:
    """Read the box that begins at a position; None if its braces never close or it is bare and empty."""
    brace = at + (6 if text.startswith("\\boxed", at) else 5)
    while text[brace : brace + 1] in _SPACES:
        brace += 1
    if not text.startswith("{", brace):
        bare = _BARE.match(text, brace)
        return None if bare is None else Box(bare.start(1), bare.end(1), bare.end(1))
    close = text.find("}", brace)
    if close < 0:
        return None
    inner = text[brace + 1 : close]
    if "{" not in inner and "\\" not in inner:
        return Box(brace + 1, close, close + 1)
    return _nested(text, brace, close)


def _nested(text: str, brace: int, close: int) -> Box | None:
    """The box whose braces open at `brace`, where the first closing one stands at `close`."""
    depth, at = 0, brace
    while "\\{" not in (part := text[at : close + 1]) and "\\}" not in part:
        depth += part.count("{") - 1
        if depth == 0:
            return Box(brace + 1, close, close + 1)
        at = close + 1
        if (close := text.find("}", at)) < 0:
            return None
    depth = 0
    for match in _BRACES.finditer(text, brace):
        sign = match[0]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return Box(brace + 1, match.start(), match.end())
    return None


def boxed(text: str) -> list[str | None]:
    """The contents of every outermost box, in order. The list ends with None at a box that never closes."""
    contents: list[str | None] = []
    at = 0
    while (opening := _BOX.search(text, at)) is not None:
        box = read_box(text, opening.start())
        if box is None:
            contents.append(None)
            break
        contents.append(text[box.start : box.end])
        at = box.after
    return contents


def every_box(text: str, max_length: int) -> Iterator[tuple[int, Box]]:
    """Every box of at most ``max_length`` characters with its position, also those inside others or an unclosed box.

    For readers that must see every possible answer: a text must not hide a box inside an unclosed one.
    """
    for opening in _BOX.finditer(text):
        place = opening.start()
        # Only this piece is read, so that a text of many open boxes is read in linear time.
        box = read_box(text[place : place + max_length], 0)
        if box is not None:
            yield place, Box(place + box.start, place + box.end, place + box.after)
