"""Recommended items in a list, and which of them were wanted (Rank-GRPO)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

_ITEM = re.compile(r"(.+?)\s+\((\d{4})\)")
_MARKUP = re.compile(r"^(?:[*_\-#]+\s*|\d+\s*[.)、\-—–]\s+)|[*_\-#]+$")
_NOTE = re.compile(r"\([^()]*\)")


class Item(NamedTuple):
    """A title with its year."""

    title: str
    year: int


def read_items(text: str) -> list[Item]:
    """Items of a list with one ``Title (Year)`` a line; markup, numbering and quotes go, other lines are skipped."""
    items = []
    for line in text.splitlines():
        match = _ITEM.match(_bare(line))
        if match:
            title = match.group(1)
            while (shorter := _bare(_NOTE.sub("", title))) != title:
                title = shorter
            items.append(Item(title, int(match.group(2))))
    return items


def list_hits(
    items: Sequence[Item],
    right_items: Iterable[tuple[str, int]],
    *,
    catalogue: Collection[tuple[str, int]],
    seen_titles: Collection[str] = (),
    length: int = 20,
    year_tolerance: int = 2,
) -> list[float]:
    """1 for each of the first ``length`` items that was wanted, else 0; a shorter list is filled up with 0.

    An item that the user has seen, or that the catalogue does not hold, is no hit. A wanted item of the same title
    (case and spacing apart) is used up by the hit, that of the nearest year first, the later of two.

    Args:
        items: recommended, in order.
        right_items: titles and years that the user took; one may stand there several times.
        catalogue: titles and years that exist, as written; a set, if it is large.
        seen_titles: titles known to the user, as written.
        length: items asked for.
        year_tolerance: years that an item may be off.

    Raises:
        ValueError: ``length`` is below 1, or ``year_tolerance`` below 0.

    Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/metrics_align.py @0808d82c.
    """
    if length < 1 or year_tolerance < 0:
        raise ValueError(f"length {length} and year_tolerance {year_tolerance} must be at least 1 and 0")
    left = Counter((_key(title), int(year)) for title, year in right_items)
    near = [gap for step in range(year_tolerance + 1) for gap in ({0: (0,)}.get(step, (step, -step)))]
    hits = [0.0] * length
    for place, (title, year) in enumerate(items[:length]):
        if title in seen_titles or (title, year) not in catalogue:
            continue
        match = next((entry for gap in near if left[entry := (_key(title), year + gap)] > 0), None)
        if match is not None:
            left[match] -= 1
            hits[place] = 1.0
    return hits


def _key(title: str) -> str:
    return " ".join(str(title).split()).casefold()


def _bare(line: str) -> str:
    """A line without surrounding markup, numbering and quotes."""
    text = " ".join(line.split())
    while (shorter := _MARKUP.sub("", text).strip()) != text:
        text = shorter
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return text
