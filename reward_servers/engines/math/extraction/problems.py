r"""What a problem says about its variables: `let $n$ be a positive integer`, `m, n \in \mathbb{Z}`."""

from __future__ import annotations

import re

_KIND = r"(?:integers?|natural\s+numbers?|whole\s+numbers?|positive\s+naturals?|primes?|prime\s+numbers?|digits?)"
_NAME = r"\$?\\?\(?[A-Za-z](?:_\{?[0-9A-Za-z]\}?)?\\?\)?\$?"
_NAMES = rf"{_NAME}(?:(?:\s*,\s*|\s*,?\s+and\s+|\s*,\s*(?:\\ldots|\\dots|\.\.\.)\s*,\s*){_NAME})*"
_ADJECTIVES = (
    r"(?:(?:positive|negative|non-?negative|nonzero|non-?zero|odd|even|distinct|consecutive|fixed|given|arbitrary|two|three"
    r"|four|relatively\s+prime|coprime|single|prime|large|small)\s+)*"
)
_DECLARED_BEFORE = re.compile(rf"\b{_ADJECTIVES}{_KIND}\s+(?P<names>{_NAMES})(?![A-Za-z])")
_DECLARED_AFTER = re.compile(
    rf"(?<![A-Za-z\\])(?P<names>{_NAMES})\s+(?:is|are|be|denotes?|represents?)\s+(?:an?\s+|any\s+|some\s+|all\s+)?"
    rf"{_ADJECTIVES}{_KIND}\b"
)
_MEMBERS = re.compile(
    r"(?<![A-Za-z\\])(?P<names>[A-Za-z](?:_\w)?(?:\s*,\s*[A-Za-z](?:_\w)?)*)\s*(?:\\in|∈)\s*"
    r"(?:\\(?:mathbb|mathbf|Bbb)\s*\{?\s*[ZN]|[ℤℕ]|\\[ZN]\b)"
)
_ONE = re.compile(r"(?<![A-Za-z\\])([A-Za-z])(?:_\{?([0-9A-Za-z])\}?)?(?![A-Za-z])")
_ARTICLES = frozenset({"a", "A", "I"})
_REACH = 20_000


def integers_in(problem: str) -> tuple[str, ...]:
    """Names of the variables that a problem declares to be integers, sorted; English and symbols are read."""
    text = problem[:_REACH]
    names: set[str] = set()
    for pattern in (_DECLARED_BEFORE, _DECLARED_AFTER, _MEMBERS):
        for match in pattern.finditer(text):
            name_list = match["names"]
            for letter, index in _ONE.findall(name_list):
                if letter not in _ARTICLES or "$" in name_list or "\\" in name_list or pattern is _MEMBERS:
                    names.add(f"{letter}_{index}" if index else letter)
    return tuple(sorted(names))
