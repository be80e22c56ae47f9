"""The documents of a rollout, and what a marker's target resolves to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reward_servers.engines.citations._urls import URL, same_page, trimmed_url

_OWN_MEMORY = re.compile(
    r"(?:(?:my|the|own|model(?:'s|’s)?|internal|prior|general|background|common|parametric|training|personal)\s+)*"
    r"(?:knowledge|memory|training(?:\s+data)?|model|self|assistant|common\s+sense)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A document that may be cited, by its id or its address."""

    id: str
    text: str = ""
    uri: str = ""
    title: str = ""


class Index:
    """Finds documents by what an answer calls them."""

    def __init__(self, sources: Sequence[Source], *, by_position: bool) -> None:
        self._sources = sources
        self._by_position = by_position
        self._ids = {source.id: source.id for source in sources}
        folded = Counter(source.id.casefold() for source in sources)
        self._folded = {source.id.casefold(): source.id for source in sources if folded[source.id.casefold()] == 1}
        self._pages: dict[str, str] = {}
        for source in sources:
            for address in (source.id, source.uri):
                if URL.match(address):
                    self._pages.setdefault(same_page(address), source.id)
        self._titles = {source.title.strip().casefold(): source.id for source in sources if source.title.strip()}
        self._title_of = {source.id: source.title.strip() for source in sources}
        self._texts = [f"{source.title}\n{source.text}" for source in sources]
        self._authored = [
            (f"{source.id} {source.title} {source.uri}".casefold(), source.id)
            for source in sources
            if re.search(r"(?:1[5-9]|20)\d\d", f"{source.id} {source.title} {source.uri}")
        ]
        shapes = {re.sub(r"\\?\d+", r"\\d+", re.escape(name)) for name in self._ids if _generalises(name)}
        self._shape = re.compile("|".join(sorted(shapes)) or r"(?!)", re.IGNORECASE)
        self._listed: Mapping[str, str | None] | None = None
        self._listed_authors: list[tuple[str, str]] = []
        self._own_labels: frozenset[str] = frozenset()

    def use_list(self, entries: Mapping[str, str]) -> None:
        """Read the answer's own reference list, which from now on defines the meaning of numbers."""
        self._listed = {label: self._entry(text) for label, text in entries.items()} or None
        self._listed_authors = [
            (text.casefold(), source) for text in entries.values() if (source := self._entry(text)) is not None
        ]
        self._own_labels = frozenset(
            label for label, text in entries.items() if _OWN_MEMORY.fullmatch(text.strip(" ."))
        )

    def by_id(self, name: str) -> str | None:
        """The document with this id."""
        name = name.strip()
        return self._ids.get(name) or self._folded.get(name.casefold())

    def by_name(self, name: str) -> str | None:
        """The document with this id or title."""
        return self.by_id(name) or self._titles.get(name.strip().casefold())

    def by_url(self, url: str) -> str | None:
        """The document at this address."""
        return self._pages.get(same_page(url))

    def by_label(self, label: str) -> str | None:
        """The document of a number or footnote: of the answer's list when it has one, else by id or position."""
        if self._listed is not None:
            return self._listed.get(label)
        source = self.by_id(label)
        if source is None and self._by_position and label.isdecimal() and 1 <= int(label) <= len(self._sources):
            return self._sources[int(label) - 1].id
        return source

    def lists(self, label: str) -> bool:
        """Whether the answer's own list has this label."""
        return self._listed is not None and label in self._listed

    @property
    def may_name_authors(self) -> bool:
        """Whether some document's id, title or address, or an entry of the answer's list, holds a year."""
        return bool(self._authored or self._listed_authors)

    def by_author(self, author: str, year: str) -> str | None:
        """The one document whose entry in the answer's list, or whose id, title or address, holds a name and a year."""
        for authors in (self._listed_authors, self._authored):
            names = {name for text, name in authors if author.casefold() in text and year in text}
            if len(names) == 1:
                return names.pop()
        return None

    def mentions(self, author: str, year: str) -> bool:
        """Whether a document's text cites a work itself."""
        return any(author in text and year in text for text in self._texts)

    def beside_source(self, entry: str) -> tuple[str | None, str]:
        """The document that an entry of a reference list names, and what the entry says beside its name."""
        source = self._entry(entry)
        remark = URL.sub(" ", entry)
        for name in filter(None, (self._title_of.get(source or "", ""), source)):
            remark = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", remark, flags=re.IGNORECASE)
        return source, remark

    def looks_like_id(self, name: str) -> bool:
        """Whether a name is built like the ids that exist, other digits allowed."""
        return self._shape.fullmatch(name.strip()) is not None

    def is_own_memory(self, name: str) -> bool:
        """Whether the model names itself as the source, in the marker or in its reference list."""
        return name in self._own_labels or _OWN_MEMORY.fullmatch(name.strip()) is not None

    def _entry(self, text: str) -> str | None:
        """The document that an entry of a reference list names: an address decides, then an id, then a title."""
        urls = [trimmed_url(match[0]) for match in URL.finditer(text)]
        if urls:
            return next((source for url in urls if (source := self.by_url(url)) is not None), None)
        words = [text.strip(), *re.findall(r"[^\s,;()\[\]\"“”]+", text)]
        sources = [source for word in words if (source := self.by_id(word.rstrip(".:"))) is not None]
        return sources[0] if sources else self._titles.get(text.strip(' ."“”*_').casefold())


def _generalises(name: str) -> bool:
    return len(name) <= 40 and not URL.match(name) and any(mark.isdigit() for mark in name) and not name.isdigit()
