"""Many candidates to few: a model says which mean the same, and each group keeps one of its own sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from reward_servers.rubrics._candidates import Candidate, words_of
from reward_servers.rubrics._metered import MeteredModel

_IN_ONE_CALL = 80
_TASK = (
    "The material lists statements about responses, each with a number. Put statements into one group only where they "
    "ask for the same; a statement that asks for more than another is of no group with it. Leave out what nothing else "
    "means. Give each group as the list of its numbers."
)


async def merged(candidates: Sequence[Candidate], metered: MeteredModel) -> list[Candidate]:
    """Merge what means the same.

    The model only says which numbers belong together: no sentence of a rubric is written while all of the data is in
    sight. A group keeps the sentence that shares most words with the others, and the prompts of all.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    distinct = _equal(candidates)
    while True:
        parts = [distinct[at : at + _IN_ONE_CALL] for at in range(0, len(distinct), _IN_ONE_CALL)]
        groups = await asyncio.gather(*(_grouped(part, metered) for part in parts))
        fewer = _equal([candidate for group in groups for candidate in group])
        # Several calls see different parts: go on until they fit into one, or nothing changes any more.
        if len(groups) <= 1 or len(fewer) == len(distinct):
            return sorted(fewer, key=lambda candidate: (-len(candidate.prompts), candidate.text))
        distinct = fewer


def _equal(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of the same words are one."""
    by_words: dict[str, Candidate] = {}
    for candidate in candidates:
        key = " ".join(words_of(candidate.text))
        by_words[key] = _joined([by_words[key], candidate]) if key in by_words else candidate
    return list(by_words.values())


def _joined(group: Sequence[Candidate]) -> Candidate:
    prompts: frozenset[str] = frozenset().union(*(candidate.prompts for candidate in group))
    return Candidate(
        min(group, key=lambda candidate: (-_shared(candidate, group), len(candidate.text), candidate.text)).text,
        prompts,
    )


def _shared(candidate: Candidate, group: Sequence[Candidate]) -> float:
    """How much of a sentence's words the others of its group have."""
    own = set(words_of(candidate.text))
    other_words = [set(words_of(rule.text)) for rule in group if rule is not candidate]
    return sum(len(own & rule_words) / len(own | rule_words) for rule_words in other_words)


async def _grouped(part: Sequence[Candidate], metered: MeteredModel) -> list[Candidate]:
    if len(part) < 2:
        return list(part)
    listed = "\n".join(f"{number}. {candidate.text}" for number, candidate in enumerate(part, 1))
    reply = await metered.write(_TASK, {"STATEMENTS": listed}, {"groups": [[1, 4], [2, 3]]})
    groups = _numbers(reply["groups"] if reply is not None else [], len(part))
    left = set(range(len(part))) - {place for group in groups for place in group}
    return [_joined([part[place] for place in group]) for group in groups] + [part[place] for place in sorted(left)]


def _numbers(reply: Any, size: int) -> list[list[int]]:
    """Groups of places; a number that is none, or that an earlier group has, is left out."""
    used: set[int] = set()
    groups = []
    for group in reply if isinstance(reply, list) else []:
        places = []
        for number in group if isinstance(group, list) else []:
            if (
                isinstance(number, int)
                and not isinstance(number, bool)
                and 0 < number <= size
                and number - 1 not in used
            ):
                used.add(number - 1)
                places.append(number - 1)
        if places:
            groups.append(places)
    return groups
