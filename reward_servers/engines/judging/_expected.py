"""The probabilities of the verdicts, from those of the tokens at the place where the verdict stands.

That place is found with the reader itself: it is where another text would have been another verdict. A figure in the
judge's reasoning therefore never counts, and where no such place is found there are no probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_servers.engines.judging._completion import Token

_LEAD = re.compile(r"[\W_]*")
_WORD = re.compile(r"[\w!=>]*")
_MOST_MASS = 1.02
_SURE = 0.99
_READS = 200
"""Readings of a changed reply at most, for one reply."""


def probabilities(
    tokens: Sequence[Token], value: Any, choices: Mapping[str, Any], read: Callable[[str], Any]
) -> dict[Any, float] | None:
    """What each verdict had as its probability when the judge wrote its own.

    Args:
        tokens: The reply's tokens in order, with the alternatives of each.
        value: The reply's verdict.
        choices: What may stand at the verdict's place, by its text.
        read: Reads a reply; None for one without a verdict.

    Returns:
        Probabilities by verdict; what is missing to 1 is what cannot be told or is no verdict. None when the place of
        the verdict is not found.
    """
    if any(sum(map(math.exp, token.alternatives.values())) > _MOST_MASS for token in tokens):
        # What is told is no distribution.
        return None
    text = "".join(token.text for token in tokens)
    at = len(text)
    offered = {choice.casefold(): value for choice, value in choices.items()}
    left = _READS
    for place in range(len(tokens) - 1, -1, -1):
        token = tokens[place]
        at -= len(token.text)
        start = at + _lead(token.text)
        body = text[start : start + 80].casefold()
        own = max((candidate for candidate in offered if body.startswith(candidate)), key=len, default=None)
        if start >= at + len(token.text) or own is None or offered[own] != value or not token.alternatives:
            continue
        for alternative, meaning in offered.items():
            if meaning == value or left == 0:
                continue
            left -= 1
            if read(text[:start] + alternative + text[start + len(own) :]) == meaning:
                return _shares(tokens, place, "", offered) if _is_told(token) else None
    return None


def _is_told(token: Token) -> bool:
    """Whether what else could have stood there is told: of a token alone it is known only where nothing else could."""
    return len(token.alternatives) > 1 or math.exp(token.alternatives.get(token.text, -math.inf)) > _SURE


def _shares(tokens: Sequence[Token], place: int, prefix: str, offered: Mapping[str, Any]) -> dict[Any, float]:
    """Shares the probability at a token among the verdicts that its alternatives begin or go on with."""
    token = tokens[place]
    pieces = {text: _piece(text, prefix) for text in {*token.alternatives, token.text}}
    words = {word for word, _ in pieces.values()}
    shares: dict[Any, float] = {}
    for text, (word, over) in sorted(pieces.items()):
        chance = math.exp(token.alternatives.get(text, -math.inf))
        matching = {candidate for candidate in offered if word and candidate.startswith(word)}
        # Where the vocabulary has a token for "10", a "1" is not the beginning of one.
        if word in offered and (over or any(candidate != word and candidate in words for candidate in matching)):
            matching = {word}
        elif over:
            matching = set()
        meanings = {offered[candidate] for candidate in matching}
        if len(meanings) == 1:
            value = meanings.pop()
            shares[value] = shares.get(value, 0.0) + chance
        elif meanings and text == token.text and place + 1 < len(tokens):
            # Only of what was really written it is known how it went on.
            for value, share in _shares(tokens, place + 1, word, offered).items():
                shares[value] = shares.get(value, 0.0) + chance * share
    return shares


def _piece(text: str, prefix: str) -> tuple[str, bool]:
    """The verdict's word up to a token, without what leads to it, and whether the token shows that the word is over."""
    folded = text.casefold()
    body = folded if prefix else folded[_lead(folded) :]
    added = _WORD.match(body)
    size = added.end() if added is not None else 0
    return prefix + body[:size], size < len(body)


def _lead(text: str) -> int:
    match = _LEAD.match(text)
    return match.end() if match is not None else 0
