"""Rubrics over entities that count only while they hang together with the answer (CaRR)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_SLOT = re.compile(r"<(E\d+)>")


class RubricScore(NamedTuple):
    """A rubric list's score, with one entry a rubric.

    Attributes:
        reward: rubrics reached over all rubrics.
        identified: all slots are filled.
        supported: identified, and the evidence supports it.
        reached: supported, and connected with the answer.
    """

    reward: float
    identified: tuple[bool, ...]
    supported: tuple[bool, ...]
    reached: tuple[bool, ...]


def slots_of(rubric: str) -> tuple[str, ...]:
    """Names of the entities that a rubric speaks of, such as ``E0``, each once."""
    return tuple(dict.fromkeys(_SLOT.findall(rubric)))


def connected_rubrics(
    rubrics: Sequence[str],
    entities: Mapping[str, str | None],
    supported: Sequence[bool],
    *,
    root: str = "E0",
    connected: bool = True,
) -> RubricScore:
    """Share of rubrics that are supported and lead back to the answer.

    A supported rubric links all entities that it names; what can be reached from the root counts. A rubric without a
    slot is never reached.

    Args:
        rubrics: statements over slots such as ``<E0>``; the root stands for the answer.
        entities: what the answer text says of each slot; None for nothing.
        supported: whether the evidence supports each rubric; read for those whose slots are all filled.
        root: slot of the answer.
        connected: False counts every supported rubric (the paper's ablation).

    Raises:
        ValueError: no rubric is given, or another number of judgements than rubrics.

    Source: CaRR, THUDM/CaRR deepsearch_rm_with_rubrics/launch_server.py @c97e7e89.
    """
    if not rubrics or len(supported) != len(rubrics):
        raise ValueError(f"{len(supported)} judgements for {len(rubrics)} rubrics; give one for each of at least one")
    slots = [slots_of(rubric) for rubric in rubrics]
    identified = [all(entities.get(slot) is not None for slot in named) for named in slots]
    held = [known and bool(judged) for known, judged in zip(identified, supported, strict=True)]
    if connected:
        seen = {root}
        waiting = [number for number, holds in enumerate(held) if holds]
        grown = True
        while grown:
            found = [number for number in waiting if seen.intersection(slots[number])]
            waiting = [number for number in waiting if number not in found]
            seen.update(slot for number in found for slot in slots[number])
            grown = bool(found)
        reached = [holds and bool(seen.intersection(named)) for holds, named in zip(held, slots, strict=True)]
    else:
        reached = held
    return RubricScore(sum(reached) / len(rubrics), tuple(identified), tuple(held), tuple(reached))
