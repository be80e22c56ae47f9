"""What the words of a document alone show: that it cannot be where a statement comes from.

Only contradictions that need no judgement count: a figure that no figure of the document can be, names that it lacks
and another document holds, a sentence that says the same with a negation more or less. Nothing here proves support.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache

from reward_servers.engines.citations._figures import UNIT_WORDS, Figure, figures, same

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-Þ][\w'’-]*[^\W\d_]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+")
_CONTRACTED = re.compile(r"n['’]t$|^n['’]")
_NOT = re.compile(r"[不没未無无](?![久来論论])")
_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:[.!?](?!\s|$)[^.!?。！？\n]*)*")
_NEGATION = re.compile(
    r"\b(?:not|never|no|none|neither|nor|without|cannot|nobody|nothing|failed|fails|refused|denied|denies"
    # German, French, Italian, Portuguese and Spanish, Russian, Chinese; a hyphen behind makes another word.
    r"|nicht|kein(?:e[nmrs]?)?|nie(?:mals)?|pas|jamais|aucune?|non(?!-)|não|nunca|не|нет)\b|n['’]t\b|" + _NOT.pattern,
    re.IGNORECASE,
)
_NO_DENIAL = re.compile(
    r"\bnot\s+(?:only|just|merely|until|before|least|unlike|uncommon)\b|n['’]t\s+(?:until|only|just)\b|\bno\s+(?:longer|later|earlier|less|more|fewer|"
    r"doubt|other|one\s+but)\b|\bnot\b[^.]{0,40}\buntil\b|n['’]t\b[^.]{0,40}\buntil\b|\bnothing\s+but\b|\bno\.\s*\d",
    re.IGNORECASE,
)
_COMMON = UNIT_WORDS.union(
    re.findall(
        r"\w+",
        "the a an of in on at by to for from with and or as is are was were be been it its he she they his her their "
        "this that these those which who whom whose has have had also then there not no none never neither nor without "
        "cannot nobody nothing failed fails refused denied denies nicht kein keine keinen keinem keiner keines nie "
        "niemals ne pas jamais aucun aucune non não nunca не нет",
    )
)
_HINT = re.compile(
    r"n(?:o|ever|either|[’']t|icht|ie|ão|unca)|without|fail|refused|denie|kein|pas|jamais|aucun|не|[不没未無无]"
)
"""Letters of which every negation holds some."""
_FUNCTION = _COMMON.union(
    re.findall(
        r"\w+",
        "after before during when while although though because since if but so we you i one two first second later "
        "according however today both each every some many most all several other another january february march april "
        "may june july august september october november december monday tuesday wednesday thursday friday saturday "
        "sunday",
    )
)
_STEM = 5
_SAME_SENTENCE = 0.85
_HELD = 0.5
_FEW = 12
"""Counts up to here are often counted by the writer and written nowhere."""
_READ, _COMBINED, _ALIKE = 2_000, 60, 50
"""Figures of a document that are compared one by one, figures that are combined, and sentences that are compared."""


@lru_cache(maxsize=256)
def stems(text: str) -> frozenset[str]:
    """The content words of a text, without endings."""
    folded = text.casefold()
    words = set(_WORD.findall(folded)) - _COMMON
    if "'" in folded or "’" in folded:
        words = {word for word in words if not _CONTRACTED.search(word)}
    found = frozenset({word[:_STEM] for word in words if len(word) > 1})
    if folded.isascii() or not (runs := _UNSPACED.findall(_NOT.sub("", folded))):
        return found
    # Scripts that put no space between words: each two characters that follow each other.
    pairs = {run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1))}
    return frozenset(word for word in found if not _UNSPACED.search(word)) | pairs


@lru_cache(maxsize=256)
def _plain_figures(text: str) -> tuple[Figure, ...]:
    """The figures of a statement, whatever it says of their exactness."""
    return tuple(figures(text, hedges=False))


def denies(text: str) -> bool:
    """Whether a text denies something, an odd number of times."""
    if _HINT.search(text.casefold()) is None:
        return False
    return len(_NEGATION.findall(_NO_DENIAL.sub(" ", text))) % 2 == 1


class Evidence:
    """The documents of a rollout as what is looked up."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the documents by id; each is read when it is first needed."""
        self._texts = texts
        self._pages: dict[str, _Page] = {}
        self._derived: dict[tuple[str, ...], frozenset[float]] = {}

    def page(self, name: str) -> _Page:
        """A document."""
        if name not in self._pages:
            self._pages[name] = _Page(self._texts[name])
        return self._pages[name]

    def refutes(self, names: Iterable[str], prose: str) -> str:
        """What shows that documents together do not support a statement, in a word; empty when nothing does.

        Args:
            names: Ids of the documents.
            prose: The statement without its markers.
        """
        named = tuple(sorted(set(names)))
        pages = [self.page(name) for name in named]
        if not pages:
            return "no_document"
        if not self._accounts(prose, named, pages):
            return "number"
        if self._other_names(prose, pages):
            return "name"
        return "negation" if any(page.turns(prose) for page in pages) else ""

    def may_support(self, names: Iterable[str], prose: str) -> bool:
        """Whether nothing speaks against it, and documents hold half of a statement's content words and figures."""
        named = sorted(set(names))
        wanted = stems(prose)
        held = frozenset().union(*(self.page(name).stems for name in named))
        told = len(_plain_figures(prose))
        if not (wanted or told):
            # What says nothing is supported by nothing.
            return False
        return len(wanted & held) + told >= _HELD * (len(wanted) + told) and not self.refutes(named, prose)

    def holders(self, prose: str) -> list[str]:
        """Documents that may support a statement, those with most of its content words first."""
        wanted = stems(prose)
        ranked = sorted(self._texts, key=lambda name: -len(wanted & self.page(name).stems))
        return [name for name in ranked if self.may_support((name,), prose)]

    def _other_names(self, prose: str, pages: list[_Page]) -> bool:
        """Whether these pages hold none of a statement's names, and another page holds one."""
        named = {name.casefold() for name in _NAME.findall(prose)} - _FUNCTION
        if not named or any(name[:_STEM] in page.stems for page in pages for name in named):
            return False
        return not named.isdisjoint(self._names)

    @cached_property
    def _names(self) -> frozenset[str]:
        """Words that some document holds as a name, and never as a common word."""
        return frozenset().union(*(self.page(name).names for name in self._texts))

    def _accounts(self, prose: str, named: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether every figure of a statement can come from the pages."""
        there = pages[0].exact if len(pages) == 1 else frozenset().union(*(page.exact for page in pages))
        if all((one.value, one.unit) in there for one in _plain_figures(prose)):
            return True
        return all(self._accounted(figure, named, pages) for figure in figures(prose))

    def _accounted(self, figure: Figure, named: tuple[str, ...], pages: list[_Page]) -> bool:
        """Whether a figure can come from the pages: it is there, or follows from two that are, or is a small count."""
        if figure.value <= _FEW and figure.value == int(figure.value) and not figure.unit:
            return True
        if any(same(figure, one) for page in pages for one in page.figures[:_READ]):
            return True
        if named not in self._derived:
            values = sorted(set().union(*(page.values for page in pages)))[:_COMBINED]
            self._derived[named] = frozenset(
                found for low in values for high in values for found in (high - low, high + low)
            )
        return figure.value in self._derived[named]


class _Page:
    """One document."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def figures(self) -> list[Figure]:
        return figures(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        return stems(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """Words that are written as names, and never as common words."""
        lower = {word for word in _WORD.findall(self.text) if word.islower()}
        return frozenset({name.casefold() for name in _NAME.findall(self.text)} - lower)

    @cached_property
    def exact(self) -> frozenset[tuple[float, str]]:
        """Values with their units."""
        return frozenset((one.value, one.unit) for one in self.figures)

    @cached_property
    def values(self) -> frozenset[float]:
        return frozenset(one.value for one in self.figures)

    @cached_property
    def _sentences(self) -> list[tuple[frozenset[str], bool]]:
        """Content words of each sentence, and whether it denies."""
        return [(stems(match[0]), denies(match[0])) for match in _SENTENCE.finditer(self.text)]

    @cached_property
    def _holding(self) -> dict[str, list[int]]:
        """The sentences of each content word."""
        found: dict[str, list[int]] = {}
        for place, (words, _) in enumerate(self._sentences):
            for word in words:
                found.setdefault(word, []).append(place)
        return found

    @cached_property
    def _may_deny(self) -> bool:
        """Whether some sentence may deny."""
        return _HINT.search(self.text.casefold()) is not None and _NEGATION.search(self.text) is not None

    def turns(self, prose: str) -> bool:
        """Whether a sentence says nearly the same and, unlike the statement, denies it, or the other way round."""
        denied = denies(prose)
        if not denied and not self._may_deny:
            return False
        wanted = stems(prose)
        if len(wanted) < 3 or len(wanted & self.stems) < _SAME_SENTENCE * len(wanted):
            return False
        # A sentence that lacks at most a few of the words holds at least one of any few and one more.
        spare = int(len(wanted) * (1 - _SAME_SENTENCE)) + 1
        rarest = sorted((len(self._holding.get(word, ())), word) for word in wanted)[:spare]
        places = sorted({place for _, word in rarest for place in self._holding.get(word, ())})[:_ALIKE]
        said = [
            denied
            for words, denied in (self._sentences[place] for place in places)
            if len(wanted & words) >= _SAME_SENTENCE * len(wanted)
        ]
        return bool(said) and all(one != denied for one in said)
