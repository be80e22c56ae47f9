"""Families of IFBench that know words or signs one by one: stop words, syllables, emoji.

Source: "Generalizing Verifiable Instruction Following" (arXiv 2507.02833) and the checks that its authors published;
syllables and emoji are those of the packages that these take, stop words the English ones of NLTK.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

from reward_servers.engines.instructions._arguments import count
from reward_servers.engines.instructions._table import family
from reward_servers.engines.instructions._texts import UNMARKED, bare_words, clauses, words

_LISTED = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it
    its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now d ll m o re ve y ain aren couldn didn doesn hadn hasn haven isn ma
    mightn mustn needn shan shouldn wasn weren won wouldn
"""
_STOP_WORDS = frozenset(_LISTED.split())
"""Without those that an apostrophe joins: no word is one, as words are counted."""


@family("ratio:stop_words", percentage=count)
def _stop_words(answer: str, percentage: int) -> bool:
    all_words = words(answer)
    return (
        bool(all_words) and 100 * sum(word.lower() in _STOP_WORDS for word in all_words) / len(all_words) <= percentage
    )


@family("words:odd_even_syllables")
def _odd_even_syllables(answer: str) -> bool:
    parities = [_syllables().count(word) % 2 for word in bare_words(answer.lower())]
    return all(parity != following for parity, following in pairwise(parities))


@family("format:emoji")
def _emoji(answer: str) -> bool:
    """An emoji may have a sign behind it, or stand behind the mark that ends its sentence."""
    parts = [clause.translate(UNMARKED).strip() for clause in clauses(answer)]
    return all(
        bool(part) and (any(map(_is_emoji, part[-2:])) or _is_emoji(after[:1]))
        for part, after in zip(parts, [*parts[1:], ""], strict=True)
    )


def _is_emoji(sign: str) -> bool:
    return bool(sign) and bool(_signs().is_emoji(sign))


@lru_cache(maxsize=1)
def _syllables() -> Any:
    import syllapy

    return syllapy


@lru_cache(maxsize=1)
def _signs() -> Any:
    import emoji

    return emoji
