"""Sentences that a model proposes as criteria, and what is not taken for one.

A rubric is trusted: the judge follows it. What it is made from is not. So a sentence has to be one that could be a
criterion, must not be copied from the texts of the data, and comes from several prompts or is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers.engines.text import composed

LONGEST = 300
_COPIED = 7
"""Words in a row that no one writes twice by chance."""
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|override|verdict|grader|full\s+marks|system\s+(?:prompt|message)|signature|correct:\s*yes"
    r"|(?:award|give|assign|grant)\s+(?:it|this|a)\b[^.]{0,20}\b(?:point|score|mark)s?|always\s+(?:true|met)"
    r"|regardless\s+of|no\s+matter\s+what)\b|https?://|<<<|>>>|<\|",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed criterion.

    Attributes:
        text: The sentence.
        prompts: The prompts that it came from.
    """

    text: str
    prompts: frozenset[str]


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"\w+", composed("NFKC", text).casefold())


def fault_of(text: Any, sources: Iterable[str]) -> str:
    """Why a sentence is no criterion, in a word; empty where nothing speaks against it.

    Args:
        text: What the model wrote.
        sources: The texts of the data that it saw, whose words it must not copy.
    """
    if not isinstance(text, str) or not any(map(str.isalpha, text)):
        return "no_sentence"
    words = words_of(text)
    if (
        len(words) < 2
        or "\n" in text.strip()
        or any(unicodedata.category(character) in ("Cc", "Cf", "Co") for character in text)
    ):
        return "no_sentence"
    if len(text) > LONGEST:
        return "too_long"
    if _ORDERS.search(text):
        return "gives_orders"
    size = min(_COPIED, len(words))
    spans = {" ".join(words[at : at + size]) for at in range(len(words) - size + 1)}
    if any(f" {span} " in f" {' '.join(words_of(source))} " for source in sources for span in spans):
        return "copied"
    return ""


def usable_candidates(
    reply: Any, prompt: str, sources: Sequence[str], dropped: Counter[str], most: int = 12
) -> list[Candidate]:
    """The candidates in a list that a model wrote about one prompt; the others are counted.

    Args:
        reply: The list, as it came.
        prompt: The prompt.
        sources: The texts that the model saw.
        dropped: Counts by reason.
        most: Of one prompt at most.
    """
    by_words: dict[str, Candidate] = {}
    listed = reply if isinstance(reply, list) else []
    for item in listed[:most]:
        why = fault_of(item, sources)
        if why:
            dropped[why] += 1
        else:
            text = " ".join(str(item).split())
            by_words.setdefault(" ".join(words_of(text)), Candidate(text, frozenset((prompt,))))
    if len(listed) > most:
        dropped["too_many"] += len(listed) - most
    return list(by_words.values())
