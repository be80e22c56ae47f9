"""What stands behind a verdict on its line: where a number ends, another scale, and what takes the verdict back."""

from __future__ import annotations

import re
from typing import Any

_ENDS_NUMBER = re.compile(
    # A number ends at a mark that no spelling of a number has. Behind a blank a symbol such as a cross is none of it.
    r"\s*(?:$|\n|[.!)\]}\"'”’»](?![\d'\"])|[;(–—|…→⇒➜-]|,(?!\d)|(?:because|since|as)\b|points?\b|pts\b"
    r"|(?:no|wait|actually|sorry|revised|rather|but|now)\b|->|=>)"
    r"|[。；！）】」』](?!\d)"
)
_SYMBOL = re.compile(r"\s+[^\w\s.,:/+*=^<>%‰~±×÷·-]")
_SPAN = r"(?:\d{1,4}\s*(?:-|–|—|to)\s*)?"
_OTHER_SCALE = re.compile(
    r"\s*+(?:points?|pts\.?|marks?|stars?)?\s*+[(\[,;–—-]?\s*+"
    rf"(?:(?:/|out\s+of|of(?:\s+a\s+possible)?)\s*+{_SPAN}(?P<of>\d{{1,6}})"
    rf"|(?:on|in|using)\s+(?:a|an|the)\s++(?:scale\s++)?(?:of|from)?\s*+{_SPAN}(?P<on>\d{{1,6}}))",
    re.IGNORECASE,
)
_HEDGED = (
    r"\b(?:or|but|so|thus|hence|therefore|now|then|actually|rather|maybe|perhaps|no|not|wait|sorry|instead|revised|corrected|correction|final|new"
    r"|make\s+(?:it|that)|changed?|more\s+like|score|rating|verdict|correct)\b[\s,:;(=!.]{0,6}(?:(?:to|is|it|a)\s+){0,2}"
)
_LEADS = rf"(?:^[^\w\n]{{0,12}}|{_HEDGED})"
_ENDS = r"(?=\s*(?:$|[.,;!?|\]}–—→\n-]|\)\s*(?:$|[^\w\s])))"
_BARE_NUMBER = re.compile(rf"{_LEADS}(?P<value>\d{{1,4}}(?:\.\d+)?){_ENDS}", re.IGNORECASE)
_BARE_WORD = re.compile(rf"{_LEADS}(?P<value>yes|no|true|false)\b{_ENDS}", re.IGNORECASE)
_ARROW = re.compile(
    r"\s*(?:→|⟶|↦|⇒|➜|➔|->|=>|>>|\|)\s*(?:\[\[\s*)?(?P<value>\d{1,4}(?:\.\d+)?|yes\b|no\b|true\b|false\b)",
    re.IGNORECASE,
)
_IF_BEFORE = re.compile(
    r"\b(?:if|when|were|would|should|example|template|format|instead|either|end\s+with|instruct\w*|asked|told)\b|\be\.g\b",
    re.IGNORECASE,
)
_IF_BEHIND = re.compile(
    r"[^\w\n]*(?:(?:only\s+)?(?:if|when|unless|were|would|in\s+case|where|means?|for\s+an?)\b"
    r"|(?:is|was|are|has\s+been)\s+(?!(?:my|the)\s+(?:final\s+)?(?:verdict|answer|judge?ment))"
    r"|(?:as\s+)?(?:planted|injected|quoted|forged|faked?|echoed|copied|claimed)\b)",
    re.IGNORECASE,
)
_NOT_BEFORE = re.compile(r"\b(?:not|never|neither|nor|cannot)\s*$|n['’]t\s*$", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<!e\.g)[.!?](?=\s)")
_EXPLAINS = re.compile(r"[\s,;–—-]*(?:because|since|as|due)\b", re.IGNORECASE)
_BARE_NOT = re.compile(r"^[^\w\n]*(?:not|never)\b[^\w\n]*(?:$|[^\w\s])", re.IGNORECASE)
_LONGEST = 400


def ends_number(text: str, at: int) -> bool:
    """Whether a number that is read up to a position really ends there."""
    return _ENDS_NUMBER.match(text, at) is not None or _SYMBOL.match(text, at) is not None


def other_scale(text: str, at: int, high: int) -> bool:
    """Whether what follows a number says that it is on a scale with another end."""
    match = _OTHER_SCALE.match(text, at)
    return match is not None and int(match["of"] or match["on"]) != high


def scale_in_key(key: str, low: int, high: int) -> bool:
    """Whether what a key says in brackets, such as ``(1-10)``, fits the scale."""
    numbers = {int(number) for number in re.findall(r"\d{1,9}", key)}
    return not numbers or (high in numbers and numbers <= {0, low, high})


def takes_back(tail: str, value: Any) -> bool:
    """Whether the rest of a line names another verdict than the one before it, as one who corrects himself does.

    Args:
        tail: What stands behind the verdict, up to the end of the line or the token.
        value: The verdict: a number, or whether it was yes.
    """
    tail = tail[:_LONGEST]
    if _EXPLAINS.match(tail):
        return False
    arrow = _ARROW.match(tail)
    if arrow is not None and _meant(arrow["value"]) != value:
        return True
    if isinstance(value, bool):
        words = (match["value"].casefold() in ("yes", "true") for match in _BARE_WORD.finditer(tail))
        return any(word != value for word in words) or _BARE_NOT.match(tail) is not None
    if not isinstance(value, float):
        return False
    return any(float(match["value"]) != value for match in _BARE_NUMBER.finditer(tail))


def _meant(word: str) -> Any:
    return float(word) if word[0].isdigit() else word.casefold() in ("yes", "true")


def last_sentence(text: str) -> str:
    """What stands behind the last end of a sentence."""
    return _SENTENCES.split(text)[-1]


def ends_sentence(text: str, start: int, end: int) -> bool:
    """Whether a sentence ends between two places, or right before the first."""
    return _SENTENCES.search(text, max(0, start - 1), end) is not None


def only_supposes(before: str, behind: str) -> bool:
    """Whether a line does not state a verdict but says when it would be one, or how one looks.

    Args:
        before: What stands before the verdict on its line.
        behind: What stands behind the token on its line.
    """
    sentence = last_sentence(before)
    return (
        _NOT_BEFORE.search(sentence) is not None
        or _IF_BEFORE.search(sentence) is not None
        or _IF_BEHIND.match(behind) is not None
    )
