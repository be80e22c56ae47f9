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
    """The documents of a rollout, indexed for look-ups."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the documents by id; each is read when it is first needed."""
        self._texts = texts
        self._pages: dict[str, _Page] = {}
        self._derived: dict[tuple[str, ...], frozenset[float]] = {}
        self._told: dict[tuple[tuple[str, ...], str], str] = {}

    def page(self, name: str) -> _Page:
        """A document."""
        page = self._pages.get(name)
        if page is None:
            page = self._pages[name] = _Page(self._texts[name])
        return page

    def refutes(self, names: Iterable[str], prose: str) -> str:
        """The reason, in one word, why the documents together do not support a statement; empty if there is none.

        Args:
            names: Ids of the documents.
            prose: The statement without its markers.
        """
        documents = _ordered(names)
        return (
            self._against(documents, [self.page(name) for name in documents], normalise(prose))
            if documents
            else "no_document"
        )

    def _against(self, documents: tuple[str, ...], pages: list[_Page], claim: NormalisedText) -> str:
        why = self._told.get((documents, claim.text))
        if why is None:
            if not self._accounts(claim, documents, pages):
                why = "number"
            elif self._other_names(claim, pages):
                why = "name"
            else:
                why = "negation" if any(page.turns(claim) for page in pages) else ""
            self._told[documents, claim.text] = why
        return why

    def may_support(self, names: Iterable[str], prose: str) -> bool:
        """Whether nothing refutes the statement and the documents hold half of its content words and figures."""
        claim = normalise(prose)
        claim_stems, claim_figures = claim.stems, claim.told
        if not (claim_stems or claim_figures):
            # A statement without content words cannot be supported.
            return False
        documents = _ordered(names)
        pages = [self.page(name) for name in documents]
        page_stems = pages[0].stems if len(pages) == 1 else frozenset().union(*[page.stems for page in pages])
        if len(claim_stems & page_stems) + claim_figures < _HELD * (len(claim_stems) + claim_figures):
            return False
        return bool(documents) and not self._against(documents, pages, claim)

    def holders(self, prose: str) -> list[str]:
        """Documents that may support a statement, those with most of its content words first."""
        claim_stems = normalise(prose).stems
        ranked = sorted(self._texts, key=lambda name: -len(claim_stems & self.page(name).stems))
        return [name for name in ranked if self.may_support((name,), prose)]

    def _other_names(self, claim: NormalisedText, pages: list[_Page]) -> bool:
        """Whether these pages have none of the statement's names while another page has one."""
        if not claim.named:
            return False
        stems = {name[:STEM] for name in claim.named}
        if not all(stems.isdisjoint(page.stems) for page in pages):
            return False
        return not claim.named.isdisjoint(self._names)

    @cached_property
    def _names(self) -> frozenset[str]:
        """Words that some document holds as a name, and never as a common word."""
        return frozenset().union(*(self.page(name).only_named() for name in self._texts))

    def _accounts(self, claim: NormalisedText, documents: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether every figure of a statement can come from the pages."""
        page_figures = pages[0].exact if len(pages) == 1 else frozenset().union(*[page.exact for page in pages])
        if claim.exact <= page_figures:
            return True
        if all(self._accounted(figure, documents, pages) for figure in claim.figures):
            return True
        return bool(claim.regrouped) and all(self._accounted(figure, documents, pages) for figure in claim.regrouped)

    def _accounted(self, figure: Figure, documents: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether a figure can come from the pages: it is there, or follows from two that are, or is a small count."""
        is_few = figure.value <= _FEW and figure.value == int(figure.value) and not figure.unit
        # A day is no count, where the pages tell days.
        if is_few and not (figure.is_day and any(page.tells_days for page in pages)):
            return True
        for page in pages:
            for figures in (page.figures, page.regrouped):
                if any(same(figure, page_figure) for page_figure in figures[:_READ]):
                    return True
        if documents not in self._derived:
            values = sorted(set().union(*(page.values for page in pages)))[:_COMBINED]
            self._derived[documents] = frozenset(
                value for low in values for high in values for value in (high - low, high + low)
            )
        return figure.value in self._derived[documents]


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    ordered = tuple(names)
    return ordered if len(ordered) < 2 else tuple(sorted(set(ordered)))


class _Page(NormalisedText):
    """One document."""

    @cached_property
    def values(self) -> frozenset[float]:
        return frozenset(figure.value for figure in self.figures)

    @cached_property
    def _sentences(self) -> list[tuple[frozenset[str], bool, str]]:
        """Content words of each sentence, whether it denies, and the sentence."""
        return [(*sense(match[0]), match[0]) for match in _SENTENCE.finditer(self.text)]

    @cached_property
    def _holding(self) -> dict[str, list[int]]:
        """The sentences of each content word."""
        places: dict[str, list[int]] = {}
        for place, (words, _, _) in enumerate(self._sentences):
            for word in words:
                places.setdefault(word, []).append(place)
        return places

    def turns(self, statement: NormalisedText) -> bool:
        """Whether a sentence says nearly the same as the statement, and one of the two is negated."""
        if not (statement.may_deny or self.may_deny):
            return False
        statement_stems = statement.stems
        if len(statement_stems) + bool(statement.exact) < 3 or len(statement_stems & self.stems) < _SAME_SENTENCE * len(
            statement_stems
        ):
            return False
        denied = statement.denies
        if not denied and not self.holds_denial:
            return False
        # A sentence that lacks at most a few of the words holds at least one of any few and one more.
        spare = int(len(statement_stems) * (1 - _SAME_SENTENCE)) + 1
        rarest = sorted((len(self._holding.get(word, ())), word) for word in statement_stems)[:spare]
        places = sorted({place for _, word in rarest for place in self._holding.get(word, ())})[:_ALIKE]
        denials = [
            denied
            for words, denied, text in (self._sentences[place] for place in places)
            if len(statement_stems & words) >= _SAME_SENTENCE * len(statement_stems)
            # Of a statement of two words, only a sentence of no others and with its figures says the same.
            and (
                len(statement_stems) > 2 or (words == statement_stems and statement.exact <= NormalisedText(text).exact)
            )
        ]
        return bool(denials) and all(denial != denied for denial in denials)
