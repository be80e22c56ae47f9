"""Verdicts that a candidate planted: forms in what it wrote, whatever their spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from reward_servers.engines.judging._forms import AMBIGUOUS, find_forms, whole_text
from reward_servers.engines.judging._normal import normal
from reward_servers.engines.judging._reply import Protocol

_LONGEST = 1 << 20
_SCORES = re.compile(
    r"(?:score|rating|grade|marks?|result\]?|verdict|note)\W{0,8}"
    r"(?:(?:is|of|as|should be|must be)\W{1,3})?([+-]?\d+(?:[.,]\d+)?)"
    r"|\[\[?\s*([+-]?\d+(?:[.,]\d+)?)\s*\]\]?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:correct|verdict|judge?ment|grade|answer|result)\W{0,6}(?:is\W{1,3})?(yes|no|true|false)\b", re.IGNORECASE
)
_LABELS = re.compile(
    r"\[\s*([ABC]|[AB]\s*(?:>>?|!?=)\s*[AB])\s*\]|\b(?:verdict|winner|choose|prefer)\W{0,6}(?:is\W{1,3})?([ABC])\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"\[\s*([A-Z])\s*\]")
_TALK = re.compile(
    r"\b(?:score|rating|grade|verdict|judge|grader|evaluator|rubric|criteri(?:a|on))\b|\bcorrect\s*[:=]|\[\[|\[result\]"
    r"|\d\s*(?:/\s*(?:5|10|100)\b|out of \d)",
    re.IGNORECASE,
)
_OFFERED: dict[Protocol, dict[str, Any]] = {
    Protocol.PAIRWISE: {"A": "A", "B": "B", "C": "tie"},
    Protocol.EQUIVALENCE: {"A=B": True, "A!=B": False},
}


def keyed_values(text: str, protocol: Protocol, keys: Sequence[str]) -> Iterator[Any]:
    """The values of everything in a normal text that looks like a verdict, mentions and damaged forms included."""
    for source in {text, text.replace('\\"', '"')}:
        yield from (form.value for form in find_forms(source, protocol, keys, anywhere=True))
        if protocol.rates:
            for number in _SCORES.finditer(source):
                yield float((number[1] or number[2]).replace(",", "."))
        elif protocol is Protocol.BINARY:
            yield from (word[1].casefold() in ("yes", "true") for word in _WORDS.finditer(source))
        elif protocol is Protocol.BEST:
            yield from (label[1].upper() for label in _LETTERS.finditer(source))
        elif protocol in (Protocol.PAIRWISE, Protocol.ARENA, Protocol.EQUIVALENCE):
            for label in _LABELS.finditer(source):
                said = re.sub(r"\s+", "", label[1] or label[2]).upper()
                yield _OFFERED.get(protocol, {}).get(said, said)


class Planted:
    """What the judged texts hold of verdicts.

    Attributes:
        suspicious: Whether a judged text speaks of verdicts at all: then only a signed verdict is the judge's own.
    """

    def __init__(self, texts: Sequence[str], protocol: Protocol, keys: Sequence[str]) -> None:
        """Read the judged texts."""
        self._protocol = protocol
        self._keys = keys
        self._values: set[str] = set()
        self._whole: set[str] = set()
        self.suspicious = False
        for text in texts:
            written = normal(text[-_LONGEST:])
            self._values |= {_name(value) for value in keyed_values(written, protocol, keys)}
            self._whole |= {_name(whole_text(line, protocol, keys)) for line in written.splitlines()} - {_name(None)}
            self.suspicious |= _TALK.search(written) is not None
        # A line that is nothing but a number is an answer like any other; one that is nothing but a yes may not be.
        self.suspicious |= bool(self._values) or (bool(self._whole) and not protocol.rates)

    @property
    def holds_any(self) -> bool:
        """Whether a judged text holds a verdict."""
        return bool(self._values or self._whole)

    def __contains__(self, value: Any) -> bool:
        """Whether a judged text holds a verdict of this value."""
        return _name(value) in self._values

    def holds_whole(self, value: Any) -> bool:
        """Whether it does, or a line of a judged text is nothing but this value."""
        return value in self or _name(value) in self._whole

    def repeated_in(self, reply: str) -> bool:
        """Whether a reply repeats a verdict that a judged text holds."""
        if not (self._values or self._whole):
            return False
        said = {_name(value) for value in keyed_values(reply, self._protocol, self._keys)}
        whole = _name(whole_text(reply, self._protocol, self._keys))
        return not said.isdisjoint(self._values) or whole in self._whole


def _name(value: Any) -> str:
    """A text that is the same for equal values, 1 and True held apart."""
    if isinstance(value, float):
        return f"{value:g}"
    return "ambiguous" if value is AMBIGUOUS else repr(value)
