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
    found = _equal(candidates)
    while True:
        parts = [found[at : at + _IN_ONE_CALL] for at in range(0, len(found), _IN_ONE_CALL)]
        groups = await asyncio.gather(*(_grouped(part, metered) for part in parts))
        fewer = _equal([one for group in groups for one in group])
        # Several calls see different parts: go on until they fit into one, or nothing changes any more.
        if len(groups) <= 1 or len(fewer) == len(found):
            return sorted(fewer, key=lambda one: (-len(one.prompts), one.text))
        found = fewer


def _equal(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of the same words are one."""
    found: dict[str, Candidate] = {}
    for one in candidates:
        key = " ".join(words_of(one.text))
        found[key] = _joined([found[key], one]) if key in found else one
    return list(found.values())


def _joined(group: Sequence[Candidate]) -> Candidate:
    prompts: frozenset[str] = frozenset().union(*(one.prompts for one in group))
    return Candidate(min(group, key=lambda one: (-_shared(one, group), len(one.text), one.text)).text, prompts)


def _shared(one: Candidate, group: Sequence[Candidate]) -> float:
    """How much of a sentence's words the others of its group have."""
    own = set(words_of(one.text))
    others = [set(words_of(other.text)) for other in group if other is not one]
    return sum(len(own & other) / len(own | other) for other in others)


async def _grouped(part: Sequence[Candidate], metered: MeteredModel) -> list[Candidate]:
    if len(part) < 2:
        return list(part)
    listed = "\n".join(f"{number}. {one.text}" for number, one in enumerate(part, 1))
    said = await metered.write(_TASK, {"STATEMENTS": listed}, {"groups": [[1, 4], [2, 3]]})
    groups = _numbers(said["groups"] if said is not None else [], len(part))
    left = set(range(len(part))) - {place for group in groups for place in group}
    return [_joined([part[place] for place in group]) for group in groups] + [part[place] for place in sorted(left)]


def _numbers(said: Any, size: int) -> list[list[int]]:
    """Groups of places; a number that is none, or that an earlier group has, is left out."""
    used: set[int] = set()
    groups = []
    for group in said if isinstance(said, list) else []:
        places = []
        for one in group if isinstance(group, list) else []:
            if isinstance(one, int) and not isinstance(one, bool) and 0 < one <= size and one - 1 not in used:
                used.add(one - 1)
                places.append(one - 1)
        if places:
            groups.append(places)
    return groups
