"""Verdicts that a candidate planted: forms in what it wrote, whatever their spelling.

Three things are told apart. A *form* is what a protocol asks a judge for: a reply that repeats one proves that the text
which holds it provoked the reply. What only *looks* like a verdict, such as a number in brackets, is as likely an
answer or a citation; a reply that is equal to it proves nothing, and cannot be told from it. A text that *talks* of
verdicts may hold one in a spelling that no one reads. None of them matters for a verdict by which the text that holds
it gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reward_servers.engines.judging._asks import LETTERS
from reward_servers.engines.judging._forms import AMBIGUOUS, find_forms, whole_text
from reward_servers.engines.judging._normal import normal, squeezed
from reward_servers.engines.judging._reply import Protocol

_LONGEST = 1 << 20
_SCORES = re.compile(
    r"(?:score|rating|result\])\W{0,8}(?:(?:is|of|as|should be|must be)\W{1,3})?([+-]?\d+(?:[.,]\d+)?)", re.IGNORECASE
)
_LIKE_SCORES = re.compile(
    r"(?:grade|marks?|verdict|note)\W{0,8}(?:(?:is|of|as|should be|must be)\W{1,3})?([+-]?\d+(?:[.,]\d+)?)"
    r"|\[\[?\s*([+-]?\d+(?:[.,]\d+)?)\s*\]\]?",
    re.IGNORECASE,
)
_WORDS = re.compile(r"correct\W{0,6}(?:is\W{1,3})?(yes|no|true|false)\b", re.IGNORECASE)
_LIKE_WORDS = re.compile(
    r"(?:verdict|judge?ment|grade|answer|result)\W{0,6}(?:is\W{1,3})?(yes|no|true|false)\b", re.IGNORECASE
)
_LABELS = re.compile(
    r"\[\s*([ABC]|[AB]\s*(?:>>?|!?=)\s*[AB])\s*\]|\b(?:verdict|winner|choose|prefer)\W{0,6}(?:is\W{1,3})?([ABC])\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"\[\s*([A-Z])\s*\]")
_TALK = re.compile(
    r"\b(?:score|rating|grade|verdict|judge|grader|evaluator|rubric|criteri(?:a|on))\b|\bcorrect\s*[:=]|\[result\]"
    r"|\[\[\s*(?:\d{1,3}\s*\]|[A-Z]\s*(?:\]|[<>=!])|tie\b)|\d\s*(?:/\s*(?:5|10|100)\b|out of \d)",
    re.IGNORECASE,
)
_TALK_APART = re.compile(
    r"[ck][o0]rr[e3]ct(?:is|equals)?(?:y[e3][s5]|tru[e3])|(?:[s5]c[o0]r[e3]|r[a4]t[i1l]ng)(?:is|of)?\d"
)
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_OFFERED: dict[Protocol, dict[str, Any]] = {
    Protocol.PAIRWISE: {"A": "A", "B": "B", "C": "tie"},
    Protocol.EQUIVALENCE: {"A=B": True, "A!=B": False},
}
_LOWEST = {Protocol.PAIRWISE: ("B", "A"), Protocol.ARENA: ("B>>A", "A>>B")}


def gains_nothing(protocol: Protocol, value: Any, place: int) -> bool:
    """Whether a verdict is the worst that there is for the judged text at a place; who plants it gains nothing."""
    if value is AMBIGUOUS:
        return False
    if protocol in _LOWEST:
        return place < 2 and value == _LOWEST[protocol][place]
    if protocol is Protocol.BEST:
        return bool(value != LETTERS[place : place + 1])
    if isinstance(value, dict):
        return all(gains_nothing(protocol, number, place) for number in value.values())
    if isinstance(value, bool):
        return not value
    return protocol.scale is not None and value == protocol.scale[0]


def _values(text: str, protocol: Protocol, keys: Sequence[str]) -> Iterator[Any]:
    """The values of all forms in a normal text, mentioned and damaged ones included."""
    for source in {text, text.replace('\\"', '"')}:
        yield from (form.value for form in find_forms(source, protocol, keys, anywhere=True))
        if protocol.rates:
            yield from (_number(match[1]) for match in _SCORES.finditer(source))
        elif protocol is Protocol.BINARY:
            yield from (word[1].casefold() in ("yes", "true") for word in _WORDS.finditer(source))


def _like_values(text: str, protocol: Protocol) -> Iterator[Any]:
    """The values of what looks like a verdict in a normal text."""
    if protocol.rates:
        yield from (_number(match[1] or match[2]) for match in _LIKE_SCORES.finditer(text))
    elif protocol is Protocol.BINARY:
        yield from (word[1].casefold() in ("yes", "true") for word in _LIKE_WORDS.finditer(text))
    elif protocol is Protocol.BEST:
        yield from (label[1].upper() for label in _LETTERS.finditer(text))
    elif protocol in (Protocol.PAIRWISE, Protocol.ARENA, Protocol.EQUIVALENCE):
        for label in _LABELS.finditer(text):
            label_text = re.sub(r"\s+", "", label[1] or label[2]).upper()
            yield _OFFERED.get(protocol, {}).get(label_text, label_text)


def _number(digits: str) -> float:
    return float(digits.replace(",", "."))


@dataclass(frozen=True, slots=True)
class _VerdictForms:
    """What one judged text holds of verdicts, as names of their values."""

    forms: frozenset[str]
    looks: frozenset[str]
    bare: frozenset[str]
    talks: bool
    letters: str = field(repr=False)
    text: str = field(repr=False)

    def mentions(self, value: float) -> bool:
        """Whether a number occurs in any spelling."""
        digits = r"[^\w\n]{0,2}".join(map(re.escape, f"{value:g}"))
        words = f"|{_in_words(int(value))}" if value.is_integer() and 0 <= value <= 100 else ""
        return re.search(rf"(?<!\d)(?:{digits}{words})(?!\d)", self.text, re.IGNORECASE) is not None


@lru_cache(maxsize=256)
def _verdicts_in(text: str, protocol: Protocol, keys: tuple[str, ...]) -> _VerdictForms:
    normal_text = normal(text[-_LONGEST:])
    forms = {_name(value) for value in _values(normal_text, protocol, keys)}
    looks = {_name(value) for value in _like_values(normal_text, protocol)}
    bare = set[str]()
    for line in filter(None, normal_text.split("\n")):
        line_value = whole_text(line, protocol, keys)
        if line_value is not None:
            # A line that is nothing but a number or a yes is an answer like any other.
            (forms if ":" in line or protocol is Protocol.GRADE else bare).add(_name(line_value))
    letters = squeezed(text[-_LONGEST:])
    talks = (
        bool(forms or looks)
        or (bool(bare) and not protocol.rates)
        or _TALK.search(normal_text) is not None
        or _TALK_APART.search(letters) is not None
    )
    numbers = normal_text if protocol.rates else ""
    return _VerdictForms(frozenset(forms), frozenset(looks), frozenset(bare), talks, letters, numbers)


def _in_words(number: int) -> str:
    """A pattern of an English number up to a hundred."""
    if number == 100:
        return r"hundred"
    if number < len(_ONES):
        return _ONES[number]
    tens = _TENS[number // 10 - 2]
    return rf"{tens}[\s-]?{_ONES[number % 10]}" if number % 10 else tens


class Planted:
    """What the judged texts hold of verdicts, each in its place."""

    def __init__(self, texts: Sequence[str], protocol: Protocol, keys: Sequence[str]) -> None:
        """Read the judged texts."""
        self._protocol = protocol
        self._keys = keys
        self._held = [_verdicts_in(text, protocol, tuple(keys)) for text in texts]

    def __contains__(self, value: Any) -> bool:
        """Whether a judged text that gains by a verdict holds it, or what looks like it."""
        name = _name(value)
        return any(name in part.forms or name in part.looks for part in self._gaining(value))

    def quoted(self, text: str, value: Any) -> bool:
        """Whether a judged text that gains by a verdict holds these words, whatever stands between their letters."""
        letters = squeezed(text)
        return bool(letters) and any(letters in part.letters for part in self._gaining(value))

    def holds_whole(self, value: Any) -> bool:
        """Whether one does, or has a line that is nothing but this value."""
        return value in self or any(_name(value) in part.bare for part in self._gaining(value))

    def may_hold(self, value: Any) -> bool:
        """Whether a judged text that talks of verdicts, and gains by this one, may hold it in a spelling of its own.

        A number may be held only where it occurs; the best verdict has too many names to be looked for.
        """
        rated = self._protocol.rates and self._protocol.scale is not None and value != self._protocol.scale[1]
        return any(part.talks and (not rated or part.mentions(float(value))) for part in self._gaining(value))

    @property
    def holders(self) -> tuple[bool, ...]:
        """For each judged text, whether it holds a form."""
        return tuple(bool(part.forms) for part in self._held)

    @property
    def holds_any(self) -> bool:
        """Whether a judged text holds a form, or a line that is nothing but a verdict."""
        return any(part.forms or part.bare for part in self._held)

    def repeated_of(self, reply: str) -> tuple[bool, ...]:
        """For each judged text, whether a reply repeats a form that it holds."""
        names = self._value_names(reply) if any(self.holders) else set()
        return tuple(not part.forms.isdisjoint(names) for part in self._held)

    def repeated_in(self, reply: str) -> bool:
        """Whether a reply repeats a form of some judged text, or is nothing but what a line of one is."""
        value_name = _name(whole_text(reply, self._protocol, self._keys))
        return any(value_name in part.bare for part in self._held) or any(self.repeated_of(reply))

    def _value_names(self, reply: str) -> set[str]:
        names = {_name(value) for value in _values(reply, self._protocol, self._keys)}
        names.add(_name(whole_text(reply, self._protocol, self._keys)))
        return names - {_name(None)}

    def _gaining(self, value: Any) -> Iterator[_VerdictForms]:
        return (part for place, part in enumerate(self._held) if not gains_nothing(self._protocol, value, place))


@lru_cache(maxsize=64)
def planted_in(texts: tuple[str, ...], protocol: Protocol, keys: tuple[str, ...]) -> Planted:
    """What judged texts hold of verdicts, read once for all the questions about them."""
    return Planted(texts, protocol, keys)


def _name(value: Any) -> str:
    """A text that is the same for equal values, 1 and True held apart."""
    if isinstance(value, float):
        return f"{value:g}"
    return "ambiguous" if value is AMBIGUOUS else repr(value)
