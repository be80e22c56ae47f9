"""Verifiers that are hosted beside each other: one names its aspects after what it reads, two hundred an item."""

from __future__ import annotations

from reward_servers import Reference, Rollout, Score, verifier

NAMES_OF_AN_ITEM = 200


class Answer(Reference):
    """The right answer."""

    answer: str


@verifier("test/naming", version="1")
def naming(rollout: Rollout) -> Score:
    """Aspects that no other response's verdict has, and their number as one that all have."""
    named = {f"{rollout.response} {number}": number / NAMES_OF_AN_ITEM for number in range(NAMES_OF_AN_ITEM)}
    return Score(1.0, aspects={**named, "count": float(NAMES_OF_AN_ITEM)})


@verifier("test/plain", version="1")
def plain(rollout: Rollout, ref: Answer) -> bool:
    """Whether the response is the answer."""
    return rollout.response == ref.answer
