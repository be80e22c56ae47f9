"""Finds verdict forms in a reply: lines, labels in brackets, JSON objects.

A form is what a protocol offers, nothing else: free text is never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers.engines.judging._clean import plain, plain_places
from reward_servers.engines.judging._json import json_spans, read_json
from reward_servers.engines.judging._reply import MARGINS, SCALES, Protocol

__all__ = ["AMBIGUOUS", "Form", "find_forms", "number", "whole_reply"]

AMBIGUOUS = object()
"""Value of a form that names several verdicts, such as a range of numbers."""

_NUMBER = r"[+-]?\d+(?:[.,]\d+)?"
_PREFIX = r"[ \t>#•-]*(?:(?:my|the|final)\s+)*(?:verdict\s*(?::|is)\s*)?"
_SCORE_LINE = re.compile(
    rf"^{_PREFIX}(?P<key>(?:final\s+)?(?:score|rating)\s*[:=]|\[RESULT\]\s*:?)\s*(?P<value>\S[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|—|~|to|or|and)\s*{_NUMBER}(?![\w%])", re.IGNORECASE)
_REST = re.compile(r"\s*(?:$|[.;!)(\]–—-]|,\s*\D|(?:because|since|as)\b|points?\b)", re.IGNORECASE)
_CORRECT_LINE = re.compile(
    rf"^{_PREFIX}(?P<key>correct\s*:)\s*(?P<value>yes|no)\s*[.!]?\s*$", re.IGNORECASE | re.MULTILINE
)
_LABEL = re.compile(r"\[\[\s*([^\[\]\n]{1,20}?)\s*\]\]")
_ONE_LINE = re.compile(rf"[^\d\n:]{{1,40}}:\s*({_NUMBER})(?:\s*/\s*(\d{{1,4}})|\s+out\s+of\s+(\d{{1,4}}))?\s*[.。]?")
_LOOSE_SCORE = re.compile(
    r"""["'](?P<key>score|rating)["']\s*:\s*["']?(?P<value>[+-]?\d+(?:\.\d+)?)["']?\s*(?=[,}]|$)""", re.IGNORECASE
)

_OFFERED: dict[Protocol, dict[str, Any]] = {
    Protocol.PAIRWISE: {"A": "A", "B": "B", "C": "tie"},
    Protocol.ARENA: {label: label for label in MARGINS},
    Protocol.EQUIVALENCE: {"A=B": True, "A!=B": False},
}
_GRADES = ("correct", "incorrect", "not_attempted")
_YES_NO = {"yes": True, "no": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Form:
    """A verdict form: where it stands, its text and its value (None for a form whose value cannot be used)."""

    start: int
    end: int
    text: str
    value: Any


def number(text: str, high: int | None = None) -> float | None:
    """Reads a number, or ``n/high`` and ``n out of high``; None when the text is anything else."""
    match = re.fullmatch(rf"\s*({_NUMBER})(?:\s*/\s*(\d{{1,4}})|\s+out\s+of\s+(\d{{1,4}}))?\s*", text, re.IGNORECASE)
    if match is None or ((match[2] or match[3]) and int(match[2] or match[3]) != high):
        return None
    digits = match[1]
    thousands = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", digits)
    value = float(digits.replace(",", "" if thousands else "."))
    return value if math.isfinite(value) else None


def _scored(value: str, high: int) -> Any:
    """The value behind a score key: a number, AMBIGUOUS for a range, None for anything else."""
    head = re.match(rf"{_NUMBER}(?:\s*/\s*\d+|\s+out\s+of\s+\d+)?", value, re.IGNORECASE)
    if head is None:
        return None
    if _RANGE.match(value):
        return AMBIGUOUS
    return number(head[0], high) if _REST.match(value[head.end() :]) else None


def _likert_lines(text: str, high: int) -> Iterator[Form]:
    flat, places = _flattened(text)
    for match in _SCORE_LINE.finditer(flat):
        value = _scored(match["value"], high)
        if value is not None:
            shown = re.match(_NUMBER, match["value"])
            label = match["key"] + " " + (shown[0] if shown else "")
            yield Form(places[match.start("key")], places[match.end() - 1] + 1, label, value)


def _correct_lines(text: str) -> Iterator[Form]:
    flat, places = _flattened(text)
    for match in _CORRECT_LINE.finditer(flat):
        label = f"{match['key']} {match['value']}"
        yield Form(
            places[match.start("key")], places[match.end("value") - 1] + 1, label, match["value"].lower() == "yes"
        )


def _flattened(text: str) -> tuple[str, list[int]]:
    """The text without emphasis and with JSON objects blanked, and the place of each of its characters in the text."""
    blanked = list(text)
    for start, end in json_spans(text):
        blanked[start:end] = [mark if mark == "\n" else "\0" for mark in text[start:end]]
    return plain_places("".join(blanked))


def _labels(text: str, protocol: Protocol) -> Iterator[Form]:
    offered = _OFFERED[protocol]
    for match in _LABEL.finditer(text):
        label = plain(re.sub(r"\s+", "", match[1])).upper()
        if label in offered:
            yield Form(match.start(), match.end(), match[0], offered[label])


def _field(found: dict[Any, Any], names: Sequence[str]) -> list[Any]:
    return [value for key, value in found.items() if isinstance(key, str) and plain(key).strip().casefold() in names]


def _score_of(decoded: Any, high: int) -> Any:
    """The one score of an object, at the top or one level down; None when there is none that can be used."""
    if not isinstance(decoded, dict):
        return None
    scores = _field(decoded, ("score", "rating"))
    if not scores:
        nested = [value for value in decoded.values() if isinstance(value, dict)]
        scores = [score for one in nested for score in _field(one, ("score", "rating"))]
    return _numeric(scores[0], high) if len(scores) == 1 else None


def _numeric(value: Any, high: int | None = None) -> float | None:
    if isinstance(value, str):
        return number(plain(value), high)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return float(value)


def _criteria_of(decoded: Any, keys: Sequence[str]) -> dict[str, bool] | None:
    """The verdict of every criterion; None when one is missing, unknown, given twice or not a yes or no."""
    if isinstance(decoded, dict):
        listed = _field(decoded, ("verdicts",))
        if len(decoded) == 1 and listed and isinstance(listed[0], list):
            decoded = listed[0]
        else:
            pairs = list(decoded.items())
    if isinstance(decoded, list):
        if not all(isinstance(one, dict) for one in decoded):
            return None
        named = [(_field(one, ("name", "id", "criterion")), _field(one, ("verdict", "met"))) for one in decoded]
        if not all(len(names) == 1 and len(verdicts) == 1 for names, verdicts in named):
            return None
        pairs = [(names[0], verdicts[0]) for names, verdicts in named]
    elif not isinstance(decoded, dict):
        return None
    known = {key.casefold(): key for key in keys}
    result: dict[str, bool] = {}
    for name, verdict in pairs:
        key = known.get(str(name).strip().casefold())
        met = _YES_NO.get(verdict.strip().casefold()) if isinstance(verdict, str) else verdict
        if key is None or key in result or not isinstance(met, bool):
            return None
        result[key] = met
    return {key: result[key] for key in keys} if len(result) == len(keys) else None


def _comparison_of(decoded: Any) -> dict[str, float] | None:
    if not isinstance(decoded, dict):
        return None
    values: dict[str, float] = {}
    for key in ("score_1", "score_2", "ranking"):
        found = _field(decoded, (key,))
        value = _numeric(found[0]) if len(found) == 1 else None
        if value is None or (key == "ranking" and value != int(value)):
            return None
        values[key] = value
    return values


def _objects(text: str, protocol: Protocol, keys: Sequence[str]) -> Iterator[Form]:
    for start, end in json_spans(text):
        source = text[start:end]
        try:
            decoded = read_json(source)
        except ValueError:
            continue
        value: Any = None
        if protocol in SCALES:
            value = _score_of(decoded, SCALES[protocol][1])
        elif protocol is Protocol.RUBRIC:
            value = _criteria_of(decoded, keys)
        elif protocol is Protocol.GENRM:
            value = _comparison_of(decoded)
        if value is not None:
            yield Form(start, end, source, value)


def _damaged_object(text: str) -> Iterator[Form]:
    """An object spoilt by unescaped quotes or a missing last brace, with one score field in the whole text."""
    opening = text.find("{")
    fields = list(_LOOSE_SCORE.finditer(text))
    if opening < 0 or len(fields) != 1 or fields[0].start() < opening:
        return
    spans = list(json_spans(text))
    if spans:
        try:
            read_json(text[spans[0][0] : spans[0][1]])
        except ValueError:
            pass
        else:
            return
    elif re.search(r"(?:\d|true|false|null|\"|\]|\})\s*(?:```\s*)?$", text) is None or text.count('"') % 2:
        return
    found = fields[0]
    yield Form(opening, len(text), f"{found['key']}: {found['value']}", float(found["value"]))


def find_forms(text: str, protocol: Protocol, keys: Sequence[str]) -> list[Form]:
    """All verdict forms of a protocol in a cleaned reply, mentions included."""
    if protocol in _OFFERED:
        return list(_labels(text, protocol))
    if protocol is Protocol.BINARY:
        return list(_correct_lines(text))
    if protocol is Protocol.GRADE:
        return []
    forms = list(_objects(text, protocol, keys))
    if protocol in SCALES:
        forms += _likert_lines(text, SCALES[protocol][1])
        if not forms:
            forms += _damaged_object(text)
    return forms


def whole_reply(text: str, protocol: Protocol) -> Any:
    """The value of a reply that is nothing but a verdict; None when it is anything else."""
    bare = plain(text).strip()
    if protocol in SCALES:
        line = _ONE_LINE.fullmatch(bare)
        high = line and (line[2] or line[3])
        return number(line[1]) if line and (not high or int(high) == SCALES[protocol][1]) else None
    word = re.sub(r"[\s_]+", "_", bare.rstrip(".!")).casefold()
    if protocol is Protocol.GRADE:
        return word if word in _GRADES else None
    if protocol is Protocol.BINARY:
        return {"yes": True, "no": False}.get(word)
    return None
