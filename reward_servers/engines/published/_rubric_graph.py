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
    identified = [all(entities.get(slot) is not None for slot in rubric_slots) for rubric_slots in slots]
    holds_by_rubric = [is_known and bool(judged) for is_known, judged in zip(identified, supported, strict=True)]
    if connected:
        reached_slots = {root}
        waiting = [number for number, holds in enumerate(holds_by_rubric) if holds]
        grown = True
        while grown:
            grown_numbers = [number for number in waiting if reached_slots.intersection(slots[number])]
            waiting = [number for number in waiting if number not in grown_numbers]
            reached_slots.update(slot for number in grown_numbers for slot in slots[number])
            grown = bool(grown_numbers)
        reached = [
            holds and bool(reached_slots.intersection(rubric_slots))
            for holds, rubric_slots in zip(holds_by_rubric, slots, strict=True)
        ]
    else:
        reached = holds_by_rubric
    return RubricScore(sum(reached) / len(rubrics), tuple(identified), tuple(holds_by_rubric), tuple(reached))
