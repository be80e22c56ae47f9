"""Finds verdict forms in a text: lines, labels in brackets, JSON objects.

A form is what a protocol offers, nothing else: free text is never guessed. All of it reads texts in their normal form,
the judge's reply and what the candidate wrote alike.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from reward_servers.engines.judging._json import json_spans, read_json
from reward_servers.engines.judging._objects import (
    comparison_of,
    criteria_of,
    damaged_score,
    ratings_of,
    score_of,
    verdict_of,
)
from reward_servers.engines.judging._reply import MARGINS, Protocol
from reward_servers.engines.judging._verdict_suffixes import ends_number, other_scale, scale_in_key, takes_back
from reward_servers.engines.text import composed


class _Ambiguous:
    """A form that names several verdicts, such as a range of numbers."""


AMBIGUOUS = _Ambiguous()

_LONGEST_VALUE = 400
_MOST_FORMS = 512
"""Forms of one kind that are read in a text: no judge writes so many, and each of them takes its time."""
_LONGEST_WORD = 40
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?"
_OF = r"(?:\s*/\s*\d{1,4}|\s+out\s+of\s+\d{1,4})?"
_PREFIX = (
    r"[ \t>#•\-\[(]*+(?:\d{1,2}[.)]\s+)?"
    r"(?:(?:my|the|final|overall) +)*+(?:(?:verdict|answer|judge?ment)\s*(?::|is\b)\s*)?"
)
_SCORE_KEY = r"(?:(?:final|overall|total)\s+)?(?:score|rating)(?:\s*\([^()\n]{1,30}\))?\s*[:=]"
_SCORE_LINE = re.compile(rf"^{_PREFIX}(?P<key>{_SCORE_KEY})\s*", re.IGNORECASE | re.MULTILINE)
_SCORE_ANYWHERE = re.compile(rf"(?<![^\W_])(?P<key>{_SCORE_KEY}|(?:score|rating)\s+(?:is|of))\s*", re.IGNORECASE)
_RESULT = re.compile(r"(?P<key>\[RESULT\]\s*:?)\s*", re.IGNORECASE)
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|—|~|/\d+\s*-|to|or|and)\s*{_NUMBER}(?![\w%])", re.IGNORECASE)
_CHOICE = r"(?P<value>yes|no|true|false)(?P<or>\s*(?:/|\bor\b|\band\b)\s*(?:yes|no|true|false)\b)?"
_ENDS_WORD = r"(?=\s*(?:$|[.,;:!)\]}(\[\n–—-]|(?:because|since|as|due)\b|[^\w\s/&'\"?=<>+*^%$@]))"
_CORRECT_KEY = r"correct\s*[:=]\s*"
_CORRECT_LINE = re.compile(rf"^{_PREFIX}{_CORRECT_KEY}{_CHOICE}{_ENDS_WORD}", re.IGNORECASE | re.MULTILINE)
_CORRECT_ANYWHERE = re.compile(
    r"(?:^|[.;:,!?)\]>#–—-] ?|\b(?:but|so|thus|hence|therefore|then|and|or|else|otherwise|is|finally)\s+)"
    rf"{_CORRECT_KEY}{_CHOICE}{_ENDS_WORD}",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(r"\[\[\s*+([^\[\]\n]{1,20}?)\s*\]\]")
_LABELLED = re.compile(rf"(?:(?P<label>[^\d\n:{{}}\[\]\"'()]{{1,40}}):\s*)?(?P<value>{_NUMBER}{_OF})\s*[.。]?")
_SCORE_WORDS = re.compile(
    r"score|rating|grade|marks?|points?|result|note|nota|not[ae]|verdict|evaluation|assessment|overall|quality"
    r"|puntaje|puntuacion|calificacion|valoracion|pontuacao|classificacao|avaliacao|punteggio|voto|valutazione"
    r"|bewertung|wertung|punkte|punktzahl|ergebnis|cijfer|beoordeling|betyg|poang|karakter|ocena|wynik|hodnoceni"
    r"|znamka|pontszam|ertekeles|nilai|skor|puan|diem|marka|scor|nota finala|resultat|evaluare|arvosana|pisteet",
    re.IGNORECASE,
)
_NO_SCORE = re.compile(
    r"\b(?:max(?:imum|imal|\.)?|min(?:imum|imal|\.)?|highest|lowest|best|top|perfect|full|possible|passing|threshold|average"
    r"|mean|confidence|certainty|penalty|error|expected|reference|claimed|previous|initial|draft|baseline|number|count|of"
    r"|置信度|信心|最高|最低|满分|滿分|扣分|错误|錯誤|自信度)[ \t_-]*$",
    re.IGNORECASE,
)
_NO_LABEL = re.compile(
    r"\b(?:max\w*|min\w*|highest|lowest|possible|confidence|certainty|penalty|errors?|number|count|steps?)\b"
    r"|置信|信心|确信|確信|自信|最高|最低|满分|滿分|扣分|错误|錯誤|数量|個数|уверенност|максим|миним|ошиб|штраф|ثقة|أقصى|خطأ",
    re.IGNORECASE,
)

_OFFERED: dict[Protocol, dict[str, Any]] = {
    Protocol.PAIRWISE: {"A": "A", "B": "B", "C": "tie"},
    Protocol.ARENA: {label: label for label in MARGINS},
    Protocol.EQUIVALENCE: {"A=B": True, "A!=B": False},
}
_GRADES = ("correct", "incorrect", "not_attempted")
_SCORE_NAMES, _CORRECT_NAMES = ("score", "rating"), ("correct",)


@dataclass(frozen=True, slots=True)
class Form:
    """A verdict form in a normal text.

    Attributes:
        start: Its first position.
        end: The position behind it.
        value: Its value, which may be ``AMBIGUOUS``.
        leads: Whether nothing stands before it on its line.
    """

    start: int
    end: int
    value: Any
    leads: bool = False


def _number(text: str, high: int | None = None) -> float | None:
    """Read a number, or ``n/high`` and ``n out of high``; None when the text is anything else."""
    match = re.fullmatch(rf"\s*({_NUMBER})(?:\s*/\s*(\d{{1,4}})|\s+out\s+of\s+(\d{{1,4}}))?\s*", text, re.IGNORECASE)
    if match is None or ((match[2] or match[3]) and int(match[2] or match[3]) != high):
        return None
    digits = match[1]
    thousands = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", digits)
    value = float(digits.replace(",", "" if thousands else "."))
    return value if math.isfinite(value) else None


def _scored(value: str, scale: tuple[int, int]) -> tuple[int, Any]:
    """The value behind a score key, and where it ends: a number, AMBIGUOUS for several, None for anything else."""
    bracketed = re.match(rf"\[\[\s*({_NUMBER})\s*\]\]", value)
    head = bracketed or re.match(rf"{_NUMBER}{_OF}", value, re.IGNORECASE)
    if head is None or other_scale(value, head.end(), scale[1]):
        return 0, None
    end = head.end()
    if bracketed is None and _RANGE.match(value):
        return end, AMBIGUOUS
    if bracketed is None and not ends_number(value, end):
        return 0, None
    number = _number(bracketed[1] if bracketed is not None else head[0], scale[1])
    return end, AMBIGUOUS if number is not None and takes_back(value[end:], number) else number


def _scores(text: str, scale: tuple[int, int], *, anywhere: bool) -> Iterator[Form]:
    for pattern in (_SCORE_ANYWHERE if anywhere else _SCORE_LINE, _RESULT):
        for match in pattern.finditer(text):
            if scale_in_key(match["key"], *scale) and not (anywhere and _of_something_else(text, match.start("key"))):
                yield from _score(text, match, scale)
    for match in _LABEL.finditer(text):
        value = _number(match[1])
        if value is not None:
            yield Form(match.start(), match.end(), value)


def _score(text: str, key: re.Match[str], scale: tuple[int, int]) -> Iterator[Form]:
    size, value = _scored(_rest_of_line(text, key.end()), scale)
    if value is not None:
        yield Form(key.start("key"), key.end() + size, value)


def _rest_of_line(text: str, start: int) -> str:
    return text[start : start + _LONGEST_VALUE].partition("\n")[0]


def _of_something_else(text: str, key: int) -> bool:
    """Whether the words right before a score's key say that it is another score."""
    return _NO_SCORE.search(text[max(0, key - _LONGEST_WORD) : key]) is not None


def _corrects(text: str, *, anywhere: bool) -> Iterator[Form]:
    for match in (_CORRECT_ANYWHERE if anywhere else _CORRECT_LINE).finditer(text):
        value: Any = match["value"].casefold() in ("yes", "true")
        is_ambiguous = match["or"] or takes_back(_rest_of_line(text, match.end()), value)
        yield Form(match.start(), match.end(), AMBIGUOUS if is_ambiguous else value)


def _labels(text: str, offered: Mapping[str, Any]) -> Iterator[Form]:
    for match in _LABEL.finditer(text):
        label = re.sub(r"\s+", "", match[1]).upper()
        if label in offered:
            yield Form(match.start(), match.end(), offered[label])


def _objects(text: str, protocol: Protocol, keys: Sequence[str], spans: Sequence[tuple[int, int]]) -> Iterator[Form]:
    high = protocol.scale[1] if protocol.scale is not None else None

    def read(text_read: str) -> float | None:
        return _number(text_read, high)

    names = (_SCORE_NAMES if protocol.rates else _CORRECT_NAMES if protocol is Protocol.BINARY else keys[:1]) or ("",)
    for start, end in spans:
        literal = text[start:end].casefold()
        # An escape may stand for a letter of the name.
        if "\\u" not in literal and not any(name.casefold() in literal for name in names):
            continue
        try:
            decoded = read_json(text[start:end])
        except ValueError:
            continue
        value: Any = None
        if protocol.rates:
            value = score_of(decoded, read)
        elif protocol is Protocol.BINARY:
            value = verdict_of(decoded)
        elif protocol is Protocol.RUBRIC:
            value = criteria_of(decoded, keys)
        elif protocol.keyed:
            value = ratings_of(decoded, keys, read)
        elif protocol is Protocol.GENRM:
            value = comparison_of(decoded, _number)
        if value is not None:
            yield Form(start, end, value)


def find_forms(text: str, protocol: Protocol, keys: Sequence[str] = (), *, anywhere: bool = False) -> list[Form]:
    """All verdict forms of a protocol in a normal text, mentions included, in order.

    Of more than 512 of one kind the next one is ambiguous, and the rest is not read.

    Args:
        text: The text.
        protocol: The protocol.
        keys: Keys of the object, the offered words or the offered letters.
        anywhere: Whether forms that begin a line elsewhere may be in the middle of one.
    """
    if protocol in _OFFERED:
        return list(_few(_labels(text, _OFFERED[protocol])))
    if protocol is Protocol.BEST:
        return list(_few(_labels(text, {key: key for key in keys})))
    if protocol is Protocol.GRADE:
        return []
    spans = list(json_spans(text))
    forms = list(_few(_objects(text, protocol, keys, spans)))
    outside = _blanked(text, spans)
    if protocol is Protocol.BINARY:
        forms += _few(_corrects(outside, anywhere=anywhere))
    if protocol.rates and protocol.scale is not None:
        forms += _few(_scores(outside, protocol.scale, anywhere=anywhere))
        if not forms and (damaged := damaged_score(text, spans)) is not None:
            forms.append(Form(*damaged))
    return sorted(forms, key=lambda form: (form.end, form.start))


def _few(forms: Iterator[Form]) -> Iterator[Form]:
    for number, form in enumerate(forms):
        if number == _MOST_FORMS:
            yield replace(form, value=AMBIGUOUS)
            return
        yield form


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with JSON objects blanked: what they quote is no line."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += [text[at:start], "".join(mark if mark == "\n" else "\0" for mark in text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def _names_score(label: str | None) -> bool:
    """Whether a line's label may be that of a score: a word for it, or one of a script in which none is known here."""
    if label is None:
        return True
    plain = "".join(mark for mark in composed("NFKD", label) if not unicodedata.combining(mark))
    if _NO_LABEL.search(label):
        return False
    return _SCORE_WORDS.search(plain) is not None if plain.isascii() else True


@lru_cache(maxsize=64)
def _offered_words(keys: tuple[str, ...]) -> Mapping[str, str]:
    return {re.sub(r"[\s_]+", "_", key).casefold(): key for key in keys}


def whole_text(text: str, protocol: Protocol, keys: Sequence[str] = ()) -> Any:
    """The value of a normal text that is nothing but a verdict; None when it is anything else."""
    bare = text.strip().strip("\"'").strip()
    if len(bare) > _LONGEST_VALUE:
        return None
    if protocol.rates and protocol.scale is not None:
        match = _LABELLED.fullmatch(bare)
        if match is None or not _names_score(match["label"]):
            return None
        return _number(match["value"], protocol.scale[1])
    word = re.sub(r"[\s_]+", "_", bare.strip("[]()").rstrip(".!").strip()).casefold()
    if protocol is Protocol.GRADE:
        return _offered_words(tuple(keys) or _GRADES).get(word)
    if protocol is Protocol.BINARY:
        return {"yes": True, "no": False}.get(word)
    return None
