"""Fenced code: where blocks begin and end (CommonMark, section 4.5)."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice

_LINE = re.compile(
    # Templates put tags on the line of a fence: <answer>```python ... ```</answer>.
    r"(?:^[ \t]*(?:>[ \t]?)*(?:<[A-Za-z_]+>[ \t]*)*|(?<=[>\]▷])[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$",
    re.MULTILINE,
)
_CLOSING_TAGS = re.compile(r"[ \t]*(?:</[A-Za-z_]+>[ \t\r]*)*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    end: int
    sign: str
    length: int
    opens: bool
    closes: bool


class Fences:
    """The closed code blocks of a text, found from any position on."""

    def __init__(self, text: str, most: int) -> None:
        """Find the lines that may be fences, or that there are more than ``most``."""
        lines = islice(_LINE.finditer(text), most + 1) if "```" in text or "~~~" in text else ()
        self._marks = [_mark(match) for match in lines]
        self.too_many = len(self._marks) > most
        self._starts = [mark.start for mark in self._marks]
        self._openers = self._find_openers()

    def _find_openers(self) -> list[int]:
        """For each mark, the first from it on that opens a block which closes; the number of marks where none does."""
        openers = [len(self._marks)] * (len(self._marks) + 1)
        longest: dict[str, int] = {}
        for place in range(len(self._marks) - 1, -1, -1):
            mark = self._marks[place]
            closable = mark.opens and longest.get(mark.sign, 0) >= mark.length
            openers[place] = place if closable else openers[place + 1]
            if mark.closes:
                longest[mark.sign] = max(mark.length, longest.get(mark.sign, 0))
        return openers

    def opening(self, position: int) -> tuple[int, int]:
        """The first closed block that begins at a position or later: its number and its start; (-1, -1) for none."""
        place = self._openers[bisect_left(self._starts, position)]
        return (-1, -1) if place == len(self._marks) else (place, self._marks[place].start)

    def end(self, number: int) -> int:
        """Where a block ends, its closing fence included."""
        opening = self._marks[number]
        for place in range(number + 1, len(self._marks)):
            mark = self._marks[place]
            if mark.closes and mark.sign == opening.sign and mark.length >= opening.length:
                return mark.end
        raise ValueError(f"block {number} does not close")


def _mark(match: re.Match[str]) -> _Mark:
    mark, info = match["mark"], match["info"]
    # An info string with a backtick is inline code, not a fence.
    opens = not (mark[0] == "`" and "`" in info)
    closes = _CLOSING_TAGS.fullmatch(info) is not None or not info.strip()
    return _Mark(match.start("mark"), match.end("mark"), mark[0], len(mark), opens, closes)


def fenced(text: str) -> list[str]:
    """The contents of closed code fences (three or more backticks or tildes), in order."""
    blocks: list[str] = []
    mark, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if not mark:
            if fence is not None:
                mark, lines = fence[1], []
        elif fence is not None and fence[1].startswith(mark) and not line[fence.end() :].strip():
            blocks.append("".join(lines))
            mark = ""
        else:
            lines.append(line)
    return blocks
