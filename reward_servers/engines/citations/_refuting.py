"""What the words of a document alone show: that it cannot be where a statement comes from.

Only contradictions that need no judgement count: a figure that no figure of the document can be, names that it lacks
and another document holds, a sentence that says the same with a negation more or less. Nothing here proves support.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from reward_servers.engines.citations._figures import Figure, same
from reward_servers.engines.citations._normalised import STEM, NormalisedText, normalise, sense

_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:[.!?](?!\s|$)[^.!?。！？\n]*)*")
_SAME_SENTENCE = 0.85
_HELD = 0.5
_FEW = 12
"""Counts up to here are often counted by the writer and written nowhere."""
_READ, _COMBINED, _ALIKE = 2_000, 60, 50
"""Figures of a document that are compared one by one, figures that are combined, and sentences that are compared."""


class Evidence:
    """The documents of a rollout as what is looked up."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the documents by id; each is read when it is first needed."""
        self._texts = texts
        self._pages: dict[str, _Page] = {}
        self._derived: dict[tuple[str, ...], frozenset[float]] = {}
        self._told: dict[tuple[tuple[str, ...], str], str] = {}

    def page(self, name: str) -> _Page:
        """A document."""
        found = self._pages.get(name)
        if found is None:
            found = self._pages[name] = _Page(self._texts[name])
        return found

    def refutes(self, names: Iterable[str], prose: str) -> str:
        """What shows that documents together do not support a statement, in a word; empty when nothing does.

        Args:
            names: Ids of the documents.
            prose: The statement without its markers.
        """
        named = _ordered(names)
        return self._against(named, [self.page(name) for name in named], normalise(prose)) if named else "no_document"

    def _against(self, named: tuple[str, ...], pages: list[_Page], said: NormalisedText) -> str:
        why = self._told.get((named, said.text))
        if why is None:
            if not self._accounts(said, named, pages):
                why = "number"
            elif self._other_names(said, pages):
                why = "name"
            else:
                why = "negation" if any(page.turns(said) for page in pages) else ""
            self._told[named, said.text] = why
        return why

    def may_support(self, names: Iterable[str], prose: str) -> bool:
        """Whether nothing speaks against it, and documents hold half of a statement's content words and figures."""
        said = normalise(prose)
        wanted, told = said.stems, said.told
        if not (wanted or told):
            # What says nothing is supported by nothing.
            return False
        named = _ordered(names)
        pages = [self.page(name) for name in named]
        held = pages[0].stems if len(pages) == 1 else frozenset().union(*[page.stems for page in pages])
        if len(wanted & held) + told < _HELD * (len(wanted) + told):
            return False
        return bool(named) and not self._against(named, pages, said)

    def holders(self, prose: str) -> list[str]:
        """Documents that may support a statement, those with most of its content words first."""
        wanted = normalise(prose).stems
        ranked = sorted(self._texts, key=lambda name: -len(wanted & self.page(name).stems))
        return [name for name in ranked if self.may_support((name,), prose)]

    def _other_names(self, said: NormalisedText, pages: list[_Page]) -> bool:
        """Whether these pages hold none of a statement's names, and another page holds one."""
        if not said.named:
            return False
        stems = {name[:STEM] for name in said.named}
        if not all(stems.isdisjoint(page.stems) for page in pages):
            return False
        return not said.named.isdisjoint(self._names)

    @cached_property
    def _names(self) -> frozenset[str]:
        """Words that some document holds as a name, and never as a common word."""
        return frozenset().union(*(self.page(name).only_named() for name in self._texts))

    def _accounts(self, said: NormalisedText, named: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether every figure of a statement can come from the pages."""
        there = pages[0].exact if len(pages) == 1 else frozenset().union(*[page.exact for page in pages])
        if said.exact <= there:
            return True
        if all(self._accounted(figure, named, pages) for figure in said.figures):
            return True
        return bool(said.regrouped) and all(self._accounted(figure, named, pages) for figure in said.regrouped)

    def _accounted(self, figure: Figure, named: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether a figure can come from the pages: it is there, or follows from two that are, or is a small count."""
        is_few = figure.value <= _FEW and figure.value == int(figure.value) and not figure.unit
        # A day is no count, where the pages tell days.
        if is_few and not (figure.is_day and any(page.tells_days for page in pages)):
            return True
        for page in pages:
            for known in (page.figures, page.regrouped):
                if any(same(figure, one) for one in known[:_READ]):
                    return True
        if named not in self._derived:
            values = sorted(set().union(*(page.values for page in pages)))[:_COMBINED]
            self._derived[named] = frozenset(
                found for low in values for high in values for found in (high - low, high + low)
            )
        return figure.value in self._derived[named]


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(names)
    return found if len(found) < 2 else tuple(sorted(set(found)))


class _Page(NormalisedText):
    """One document."""

    @cached_property
    def values(self) -> frozenset[float]:
        return frozenset(one.value for one in self.figures)

    @cached_property
    def _sentences(self) -> list[tuple[frozenset[str], bool, str]]:
        """Content words of each sentence, whether it denies, and the sentence."""
        return [(*sense(match[0]), match[0]) for match in _SENTENCE.finditer(self.text)]

    @cached_property
    def _holding(self) -> dict[str, list[int]]:
        """The sentences of each content word."""
        found: dict[str, list[int]] = {}
        for place, (words, _, _) in enumerate(self._sentences):
            for word in words:
                found.setdefault(word, []).append(place)
        return found

    def turns(self, statement: NormalisedText) -> bool:
        """Whether a sentence says nearly the same and, unlike a statement, denies it, or the other way round."""
        if not (statement.may_deny or self.may_deny):
            return False
        wanted = statement.stems
        if len(wanted) + bool(statement.exact) < 3 or len(wanted & self.stems) < _SAME_SENTENCE * len(wanted):
            return False
        denied = statement.denies
        if not denied and not self.holds_denial:
            return False
        # A sentence that lacks at most a few of the words holds at least one of any few and one more.
        spare = int(len(wanted) * (1 - _SAME_SENTENCE)) + 1
        rarest = sorted((len(self._holding.get(word, ())), word) for word in wanted)[:spare]
        places = sorted({place for _, word in rarest for place in self._holding.get(word, ())})[:_ALIKE]
        said = [
            denied
            for words, denied, text in (self._sentences[place] for place in places)
            if len(wanted & words) >= _SAME_SENTENCE * len(wanted)
            # Of a statement of two words, only a sentence of no others and with its figures says the same.
            and (len(wanted) > 2 or (words == wanted and statement.exact <= NormalisedText(text).exact))
        ]
        return bool(said) and all(one != denied for one in said)
