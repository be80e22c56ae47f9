"""The meaning that a statement takes from the text before it: the head of its table, or the question it agrees to.

A fact may be split over two places: a year in the head of a table belongs to the statements of its cells, and a
bare "Yes." says what was asked.
"""

from __future__ import annotations

import re

from reward_servers.engines.citations._assertions import has_figure

_AGREES = re.compile(
    r"^\W*(?:yes|yeah|indeed|correct|right|true|exactly|absolutely|certainly|ja|oui|sí|sim|si|да|是的?|はい|네)\b"
    r"(?:[,\s]+\w+){0,4}\W*$",
    re.IGNORECASE,
)
_LONGEST = 60
_BLANK = re.compile(r"^[\s–—.-]*$")
_RULE = re.compile(r"^[\s|:+-]*$")


class Context:
    """The statements of an answer as they come.

    Args:
        question: What the answer answers; its figures are no news.
    """

    def __init__(self, question: str) -> None:
        self._question = question
        self._head: list[str] = []
        self._asked = ""

    def complete(self, prose: str, *, is_head: bool) -> str:
        """The words of the next statement, with the earlier words that complete it.

        Args:
            prose: Its own words.
            is_head: Whether it is a heading, or the head or the rule of a table.
        """
        line, question = prose.strip(), self._asked
        self._asked = line.strip("*_# ") if line.rstrip("*_ ").endswith(("?", "？", "؟")) else ""
        if not line.startswith("|"):
            self._head = []
            if question and len(line) <= _LONGEST and _AGREES.match(line):
                return f"{question} {line}"
            return prose
        if is_head:
            if _RULE.match(line) is None:
                self._head = _cells(line)
            return prose
        headings = [
            head
            for head, cell in zip(self._head, _cells(line), strict=False)
            if not _BLANK.match(cell) and has_figure(head, self._question)
        ]
        return f"{prose.rstrip()} {' | '.join(headings)}" if headings else prose


def _cells(line: str) -> list[str]:
    return line.strip().strip("|").split("|")
