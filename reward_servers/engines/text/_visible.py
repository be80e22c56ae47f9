"""Parts of a response: outside its reasoning, inside a tag or a box, its last line."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Visible", "boxed", "fenced", "last_line", "tagged", "visible"]

_REASONING = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)\s*>", re.IGNORECASE)
_MOST_TAGS = 2_000
_BOX = re.compile(r"\\f?boxed\s*\{")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BRACE = re.compile(r"\\[\\{}]|[{}]")


class Visible(NamedTuple):
    """A text without its reasoning.

    Attributes:
        text: What remains.
        open: Whether a reasoning span never ends: what follows its start is not visible.
    """

    text: str
    open: bool


def visible(text: str) -> Visible:
    """Removes reasoning spans.

    A closing tag without an opening one ends a span that began before the text: chat templates often write the opening
    tag into the prompt.

    Args:
        text: A response or a reply.

    Returns:
        The visible text, and whether a span is left open. With more than 2,000 tags nothing is visible: no honest text
        has them, and reading on would take its time.
    """
    if "<" not in text:
        return Visible(text, False)
    pieces: list[str] = []
    at = 0
    inside = False
    for number, tag in enumerate(_REASONING.finditer(text)):
        if number == _MOST_TAGS:
            return Visible("", True)
        if tag[1]:
            if not inside:
                pieces.clear()
            at, inside = tag.end(), False
        elif not inside:
            pieces.append(text[at : tag.start()])
            inside = True
    if not inside:
        pieces.append(text[at:])
    return Visible("".join(pieces), inside)


def tagged(text: str, tag: str) -> list[str]:
    """The contents of ``<tag>...</tag>``, in order; an opening tag that never closes has none."""
    found: list[str] = []
    opening, closing = f"<{tag}>", f"</{tag}>"
    at = text.find(opening)
    while at >= 0:
        start = at + len(opening)
        end = text.find(closing, start)
        if end < 0:
            break
        found.append(text[start:end])
        at = text.find(opening, end)
    return found


def boxed(text: str) -> list[str | None]:
    r"""The contents of every outermost ``\boxed{...}``, in order; None for one whose braces never close."""
    found: list[str | None] = []
    at = 0
    while (opening := _BOX.search(text, at)) is not None:
        depth, at, end = 1, opening.end(), -1
        for brace in _BRACE.finditer(text, at):
            if len(brace[0]) == 2:
                continue
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                end = brace.start()
                break
        if end < 0:
            # Nothing behind an open brace can be told from its content.
            found.append(None)
            break
        found.append(text[at:end])
        at = end + 1
    return found


def fenced(text: str) -> list[str]:
    """The contents of closed code fences (CommonMark, section 4.5, three or more backticks or tildes), in order."""
    found: list[str] = []
    mark, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if not mark:
            if fence is not None:
                mark, lines = fence[1], []
        elif fence is not None and fence[1].startswith(mark) and not line[fence.end() :].strip():
            found.append("".join(lines))
            mark = ""
        else:
            lines.append(line)
    return found


def last_line(text: str) -> str:
    """The last line that is not blank, stripped; empty when there is none."""
    return text.rstrip().rpartition("\n")[2].strip()
