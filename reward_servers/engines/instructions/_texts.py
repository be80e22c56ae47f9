"""Texts cut into words and sentences, as the published checks cut them."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import Any

UNMARKED = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"\w+")

_LISTED = """
    a.d a.m adm ala ariz aug ave bros calif co col colo conn corp d.c dec dr feb fla fri ft ga gen ill inc jan jr
    kan ky lt ltd maj messrs mich minn mr mrs ms n.c n.d n.h n.j n.m n.y nev nov oct okla ore p.m pa ph.d prof rep
    reps s.c sen sep sept sr st tenn tues u.k u.n u.s u.s.a v va vs vt w.va wash wed wis yr
"""
_ABBREVIATIONS = frozenset(_LISTED.split())
"""Words that a full stop belongs to, as the model has it that IFEval takes: `e.g.` and `etc.` are not among them."""


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores: what IFEval counts as words."""
    return _WORD.findall(text)


def tokens(text: str) -> list[str]:
    """Words and signs as the Penn Treebank separates them."""
    return list(_word_tokenizer().tokenize(text))


def sentences(text: str) -> list[str]:
    """Sentences by the Punkt rules of NLTK, with a list of abbreviations of our own in place of its trained model."""
    return list(_sentence_tokenizer().tokenize(text))


@lru_cache(maxsize=1)
def _word_tokenizer() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


@lru_cache(maxsize=1)
def _sentence_tokenizer() -> Any:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(_ABBREVIATIONS)
    return PunktSentenceTokenizer(parameters)


_HELD, _BREAK = "\0", "\1"
_ACRONYM = r"([A-Z][.][A-Z][.](?:[A-Z][.])?)"
_STARTS = (
    r"(Mr|Mrs|Ms|Dr|Prof|Capt|Cpt|Lt|He\s|She\s|It\s|They\s|Their\s|Our\s|We\s|But\s|However\s|That\s|This\s|Wherever)"
)
_HELD_STOPS = (
    (r"(Mr|St|Mrs|Ms|Dr)[.]", rf"\1{_HELD}"),
    (r"[.](com|net|org|io|gov|edu|me)", rf"{_HELD}\1"),
    (r"([0-9])[.]([0-9])", rf"\1{_HELD}\2"),
)
_HELD_LETTERS = (
    (r"\s([A-Za-z])[.] ", rf" \1{_HELD} "),
    (rf"{_ACRONYM} {_STARTS}", rf"\1{_BREAK} \2"),
    (r"([A-Za-z])[.]([A-Za-z])[.]([A-Za-z])[.]", rf"\1{_HELD}\2{_HELD}\3{_HELD}"),
    (r"([A-Za-z])[.]([A-Za-z])[.]", rf"\1{_HELD}\2{_HELD}"),
    (rf" (Inc|Ltd|Jr|Sr|Co)[.] {_STARTS}", rf" \1{_BREAK} \2"),
    (r" (Inc|Ltd|Jr|Sr|Co)[.]", rf" \1{_HELD}"),
    (r" ([A-Za-z])[.]", rf" \1{_HELD}"),
)


def clauses(text: str) -> list[str]:
    """Sentences as IFBench cuts them: at full stops, question and exclamation marks that end no abbreviation."""
    text = f" {text}  ".replace("\n", " ").replace(_HELD, " ").replace(_BREAK, " ")
    for pattern, replacement in _HELD_STOPS:
        text = re.sub(pattern, replacement, text)
    text = re.sub(r"\.{2,}", lambda dots: _HELD * len(dots[0]) + _BREAK, text)
    text = text.replace("Ph.D.", f"Ph{_HELD}D{_HELD}")
    for pattern, replacement in _HELD_LETTERS:
        text = re.sub(pattern, replacement, text)
    for mark in ".?!":
        text = text.replace(f'{mark}"', f'"{mark}')
    text = text.replace(".\u201d", "\u201d.")
    parts = re.sub(r"([.?!])", rf"\1{_BREAK}", text).replace(_HELD, ".").split(_BREAK)
    pieces = [part.strip() for part in parts]
    return pieces if pieces[-1] else pieces[:-1]


def bare_words(text: str) -> list[str]:
    """What stands between blanks, without ASCII punctuation."""
    return text.translate(UNMARKED).split()
