"""Scores of the members of a group from the clusters of their answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from reward_servers import Score
from reward_servers.verifiers._answers import AnswerOptions

ASPECTS = {"share": 0.0, "cluster": None, "clusters": None, "entropy": None}
"""Of a group that is not compared nothing is known."""


class ClusterOptions(AnswerOptions):
    """How answers are found, and what the score is."""

    metric: Literal["share", "majority"] = Field(
        "share", description="Share of the group with the same answer, or 1 for the answer of most, ties included."
    )
    certain_share: float = Field(
        0.0, ge=0, le=1, description="Share that the largest cluster must reach; below it no response is paid."
    )


def scores_of(clusters: Sequence[Sequence[int]], answers: Sequence[str], options: ClusterOptions) -> list[Score]:
    """The score of each member.

    Args:
        clusters: Places of the members of each; every place is in one.
        answers: Of each member; empty for none.
        options: What the score is.
    """
    shares = [len(members) / len(answers) for members in clusters]
    entropy = sum(share * math.log(1 / share) for share in shares)
    filled = [share for share, members in zip(shares, clusters, strict=True) if answers[members[0]]]
    largest = max(filled, default=0.0)
    scores: dict[int, Score] = {}
    for number, members in enumerate(clusters):
        aspects = {
            "share": shares[number],
            "cluster": float(number),
            "clusters": float(len(clusters)),
            "entropy": entropy,
        }
        scores |= dict.fromkeys(members, _score(answers[members[0]], shares[number], largest, aspects, options))
    return [scores[place] for place in range(len(answers))]


def _score(answer: str, share: float, largest: float, aspects: dict[str, float], options: ClusterOptions) -> Score:
    if not answer:
        return Score(None, "no_answer", aspects=aspects)
    if largest < options.certain_share:
        return Score(0.0, "undecided", note=f"the largest cluster has {largest:.3g} of the group", aspects=aspects)
    value = share if options.metric == "share" else float(share >= largest)
    return Score(value, aspects=aspects, evidence={"answer": answer[:200]})
