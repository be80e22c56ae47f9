"""Quotations: whether the cited document holds the quoted words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reward_servers.engines.citations._markers import Marker
from reward_servers.engines.text import composed

_QUOTED = re.compile(
    r"“([^“”\n]{1,1000})”|«([^«»\n]{1,1000})»|„([^„“”\n]{1,1000})[“”]|(?<![\w=])\"([^\"\n]{1,1000})\"(?!\w)"
    r"|(?<!\w)»([^«»\n]{1,1000})«(?!\w)|「([^「」\n]{1,1000})」|『([^『』\n]{1,1000})』|‹([^‹›\n]{1,1000})›"
)
_ELLIPSIS = re.compile(r"\[?(?:\.\.\.|…|\. \. \.)\]?")
_SIGNS = str.maketrans(
    {
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "‘": "'",
        "’": "'",
        "–": "-",
        "—": "-",
        "‑": "-",
        "−": "-",
        "\xad": None,
    }
)


@dataclass(frozen=True, slots=True)
class Quote:
    """Quoted words and the document that is cited for them.

    Attributes:
        text: The words; a quotation with an ellipsis is one quote for each fragment.
        document: The document that the next marker names.
        grounding: ``"exact"``, ``"misplaced"`` when only another document holds them, or ``"altered"`` when none does.
    """

    text: str
    document: str
    grounding: Literal["exact", "misplaced", "altered"]


def _normal(text: str) -> str:
    return " ".join(composed("NFKC", text.translate(_SIGNS)).translate(_SIGNS).split())


class QuotedDocuments:
    """The documents, in the form in which quotations are looked for."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents
        self._normal: dict[str, str] = {}

    def hold(self, name: str, fragment: str) -> bool:
        """Whether a document holds a fragment in normal form."""
        if name not in self._normal:
            self._normal[name] = _normal(self._documents[name])
        return fragment in self._normal[name]

    def anywhere(self, fragment: str) -> bool:
        """Whether any document holds it."""
        return any(self.hold(name, fragment) for name in self._documents)


def holds_quotes(text: str) -> bool:
    """Whether a text may hold a quotation at all."""
    return any(mark in text for mark in '"“«„»「『‹')


def quotes_words(prose: str, text: str, least: int = 2) -> bool:
    """Whether a text between quotation marks, of some words at least, occurs in another text."""
    normal_text = _normal(text)
    for match in _QUOTED.finditer(prose):
        quoted = _normal(next(group for group in match.groups() if group is not None)).strip(" .,;:!?")
        if len(quoted.split()) >= least and quoted in normal_text:
            return True
    return False


def find_quotes(
    text: str, start: int, end: int, markers: Sequence[Marker], grounds: QuotedDocuments
) -> Iterator[Quote]:
    """The quotations of a statement that are followed by a marker which resolves.

    Args:
        text: The answer.
        start: First place of the statement.
        end: The place after it.
        markers: The markers of the statement, in order.
        grounds: The documents.
    """
    for match in _QUOTED.finditer(text, start, end):
        if any(marker.start <= match.start() < marker.end for marker in markers):
            continue
        following = next((marker for marker in markers if marker.start >= match.end()), None)
        if following is None or not following.documents:
            continue
        quoted = next(group for group in match.groups() if group is not None)
        for fragment in (part.strip(" .,;:!?") for part in _ELLIPSIS.split(quoted)):
            normal_quote = _normal(fragment)
            if not normal_quote:
                continue
            cited = next((name for name in following.documents if grounds.hold(name, normal_quote)), None)
            if cited is not None:
                yield Quote(fragment, cited, "exact")
            else:
                grounding: Literal["misplaced", "altered"] = (
                    "misplaced" if grounds.anywhere(normal_quote) else "altered"
                )
                yield Quote(fragment, following.documents[0], grounding)
