"""What a text says, in the form in which statements and documents are compared."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cached_property, lru_cache

from reward_servers.engines.citations._figures import (
    UNIT_WORDS,
    Figure,
    figures,
    has_numeric_date,
    plain_figures,
    regrouped,
)
from reward_servers.engines.citations._words import WORD, spelt, words_of, words_of_statement

_NAME = re.compile(r"[A-ZÀ-ÖØ-Þ](?<!\w[A-ZÀ-ÖØ-Þ])[\w'’-]*[^\W\d_]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+")
_CONTRACTED = re.compile(r"n['’]t$|^n['’]")
_SIGNS, _NO_DENYING_SIGN = "不没未無无", "(?![久来论論])"
_NOT = re.compile(f"[{_SIGNS}]{_NO_DENYING_SIGN}")
# The first letter is tested first, so that words that begin with another letter are skipped quickly.
_NEGATION = re.compile(
    rf"[nNwWcCfFrRdDkK\u212apPjJaAнН{_SIGNS}](?:(?<=[{_SIGNS}]){_NO_DENYING_SIGN}|(?i:(?<=n)['’]t\b|(?<!\w\w)(?:"
    r"(?<=n)(?:ot(?:hing)?|o(?:ne|r|body)?|ever|either)|(?<=w)ithout|(?<=c)annot|(?<=f)ail(?:ed|s)|(?<=r)efused"
    # German, French, Italian, Portuguese and Spanish, Russian; a hyphen behind makes another word.
    r"|(?<=d)enie[ds]|(?<=n)(?:icht|ie(?:mals)?|on(?!-)|ão|unca)|(?<=k)ein(?:e[nmrs]?)?|(?<=p)as|(?<=j)amais|(?<=a)ucune?"
    r"|(?<=н)ет?)\b))"
)
_NO_DENIAL = re.compile(
    r"[nN](?i:['’]t(?:\s+(?:until|only|just)\b|\b[^.]{0,40}\buntil\b)|(?<!\w\w)(?:"
    r"ot(?:\s+(?:only|just|merely|until|before|least|unlike|uncommon)\b|\b[^.]{0,40}\buntil\b)"
    r"|o(?:\s+(?:longer|later|earlier|less|more|fewer|doubt|other|one\s+but)\b|\.\s*\d)|othing\s+but\b))"
)
_DENYING = spelt(
    "not never no none neither nor without cannot nobody nothing failed fails refused denied denies nicht "
    "kein keine keinen keinem keiner keines nie niemals pas jamais aucun aucune non não nunca не нет"
)
_DENYING_MARKS = re.compile(rf"[nN]['’][tT]|[{_SIGNS}]")
"""What every denial holds: one of these words or marks."""
_COMMON = UNIT_WORDS.union(
    re.findall(
        r"\w+",
        "the a an of in on at by to for from with and or as is are was were be been it its he she they his her their "
        "this that these those which who whom whose has have had also then there ne true",
    ),
    _DENYING,
)
_FUNCTION = _COMMON.union(
    re.findall(
        r"\w+",
        "after before during when while although though because since if but so we you i one two first second later "
        "according however today both each every some many most all several other another january february march april "
        "may june july august september october november december monday tuesday wednesday thursday friday saturday "
        "sunday",
    )
)
STEM = 5


class NormalisedText:
    """What a text says.

    Attributes:
        text: The text.
        stems: Its content words, without endings.
        told: The number of its figures.
        exact: Their values with their units, without hedges such as "about".
        may_deny: Whether it holds a word or mark that every denial holds one of.
    """

    def __init__(self, text: str, *, is_statement: bool = False) -> None:
        words, parts = words_of_statement(text) if is_statement else words_of(text)
        plain = plain_figures(text, parts)
        self.text = text
        self.stems = _stems(text, words)
        self.told = len(plain)
        self.exact = frozenset(plain)
        self.may_deny = _may_deny(text, parts)

    @cached_property
    def denies(self) -> bool:
        """Whether it denies something, an odd number of times."""
        return self.may_deny and _denies(self.text)

    @cached_property
    def figures(self) -> list[Figure]:
        """Its figures, in order."""
        return figures(self.text)

    @cached_property
    def tells_days(self) -> bool:
        """Whether it has the day of a month."""
        return any(figure.is_day for figure in self.figures) or has_numeric_date(self.text)

    @cached_property
    def regrouped(self) -> list[Figure]:
        """Its figures where spaces and full stops may group digits; none where no figure is another one so."""
        regrouped_text = regrouped(self.text)
        return figures(regrouped_text) if regrouped_text != self.text else []

    @cached_property
    def holds_denial(self) -> bool:
        """Whether something in it is a denial, for itself."""
        return self.may_deny and _NEGATION.search(self.text) is not None

    @cached_property
    def named(self) -> frozenset[str]:
        """Words that are written as names."""
        return frozenset([name.casefold() for name in _NAME.findall(self.text)]) - _FUNCTION

    def only_named(self) -> frozenset[str]:
        """Words that are written as names, and never as common words."""
        lower = {word for word in WORD.findall(self.text) if word.islower()}
        return frozenset({name.casefold() for name in _NAME.findall(self.text)} - lower)


@lru_cache(maxsize=256)
def normalise(statement: str) -> NormalisedText:
    """What a statement says; it is asked of several documents."""
    return NormalisedText(statement, is_statement=True)


@lru_cache(maxsize=256)
def stems(text: str) -> frozenset[str]:
    """The content words of a text, without endings."""
    return _stems(text, words_of(text)[0])


def sense(sentence: str) -> tuple[frozenset[str], bool]:
    """The content words of a sentence, and whether it denies."""
    words, parts = words_of(sentence)
    return _stems(sentence, words), _may_deny(sentence, parts) and _denies(sentence)


def _stems(text: str, words: Set[str]) -> frozenset[str]:
    content_words = words - _COMMON
    if "'" in text or "’" in text:
        content_words = {word for word in content_words if not _CONTRACTED.search(word)}
    stems = frozenset([word[:STEM] for word in content_words if len(word) > 1])
    if text.isascii() or not (runs := _UNSPACED.findall(_NOT.sub("", text.casefold()))):
        return stems
    # Scripts that put no space between words: each two characters that follow each other.
    pairs = {run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1))}
    return frozenset(word for word in stems if not _UNSPACED.search(word)) | pairs


def _may_deny(text: str, parts: Set[str]) -> bool:
    """Whether a text holds a word or mark that every denial holds one of."""
    if not parts.isdisjoint(_DENYING):
        return True
    return not (text.isascii() and "'" not in text) and _DENYING_MARKS.search(text) is not None


def _denies(text: str) -> bool:
    return len(_NEGATION.findall(_NO_DENIAL.sub(" ", text))) % 2 == 1
