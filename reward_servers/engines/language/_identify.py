"""Languages of texts and of their stretches."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from copy import copy
from functools import lru_cache
from typing import Any

_COMMON = """
    af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu ha he hi hr hu hy id ig is it ja ka kk
    km kn ko ky lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru si sk sl so sq sr sv sw ta te tg th
    tl tr ug uk ur uz vi yo zh zu
"""
_OTHERS = "an as ba br dz eo fo fy gd ht jv ku la lb lg ln mt nn oc qu rw sa se sn st tk tt vo wa xh"

COMMON = frozenset(_COMMON.split())
"""Languages that a text may turn out to be in, unless others are named."""

CODES = COMMON | frozenset(_OTHERS.split())
"""Languages that can be asked for."""

_NO_LANGUAGE = "zxx"
_LONGEST = 4_000
_SENTENCE = re.compile(r"[^.!?。！？।؟\n]+(?:[.!?。！？।؟]+|\n|\Z)")


@lru_cache(maxsize=1)
def _whole_model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=64)
def _model(among: frozenset[str]) -> Any:
    """The model for a choice of languages; its tables are those of the whole one."""
    identifier = copy(_whole_model())
    identifier.set_languages(among | {_NO_LANGUAGE})
    return identifier


def identify(text: str, among: Collection[str] = COMMON) -> tuple[str, float] | None:
    """Most probable language of a text and its probability; None for one in no language.

    Args:
        text: Its first 4,000 characters are read. A text that is all capitals is read as if it were not.
        among: Codes to choose from.
    """
    text = text[:_LONGEST]
    if not any(map(str.isalpha, text)):
        return None
    code, probability = _model(frozenset(among)).classify(text)
    return None if code == _NO_LANGUAGE else (str(code), float(probability))


def share_in(text: str, language: str, among: Collection[str] = COMMON, shortest: int = 20) -> float | None:
    """Share of the letters that are in stretches of a language; None for a text without letters.

    A stretch is a sentence or a line. One with fewer letters than can be told apart is read together with those that
    follow it.

    Args:
        text: The text.
        language: Code of the language.
        among: Codes to choose from; `language` is always one of them.
        shortest: Letters of the shortest stretch that is identified by itself.
    """
    chosen = {*among, language}
    total = right = 0
    for stretch, letters in _stretches(text, shortest):
        identified = identify(stretch, chosen)
        total += letters
        right += letters if identified is not None and identified[0] == language else 0
    return right / total if total else None


def _stretches(text: str, shortest: int) -> Iterator[tuple[str, int]]:
    """Parts of a text with at least so many letters each, the last one excepted, and how many they have."""
    gathered, letters = "", 0
    for match in _SENTENCE.finditer(text):
        gathered += match.group()
        letters += sum(map(str.isalpha, match.group()))
        if letters >= shortest:
            yield gathered, letters
            gathered, letters = "", 0
    if letters:
        yield gathered, letters
