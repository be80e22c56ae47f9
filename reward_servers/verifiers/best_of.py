"""Shows a judge several responses at once, each of them at every place in turn, and counts how often each is best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from reward_servers import Context, Fault, FaultError, Group, ItemLimits, Score, verifier
from reward_servers.engines.ranking import windows
from reward_servers.verifiers._comparing import (
    ComparingOptions,
    Contestant,
    Tally,
    contestants,
    evidence_of,
    settled,
    with_reference,
)


class BestOfOptions(ComparingOptions):
    """How many responses the judge sees at once."""

    max_shown: int = Field(4, ge=2, le=26, description="Responses shown together; all of a group that has fewer.")

    @model_validator(mode="after")
    def _check(self) -> BestOfOptions:
        if misfit := self.misfit("best_of"):
            raise ValueError(misfit)
        return self


@dataclass(frozen=True, slots=True)
class _WindowOutcome:
    """The outcome of one window.

    Attributes:
        best: Place of the best response; None if each of them made the judge fail.
        told: Evidence of each question, also of those on which the judge failed.
    """

    best: int | None
    told: tuple[Mapping[str, Any], ...]


async def _best(
    window: Sequence[int], members: Sequence[Contestant], options: BestOfOptions, ctx: Context
) -> _WindowOutcome:
    """The best of a window.

    Raises:
        FaultError: The judge gave no verdict.
    """
    left, records = list(window), []
    # Only the fault says which responses caused the failure.
    judge_options = {**options.for_judge(), "protocol": "best_of", "on_provoked": "fault"}
    while len(left) > 1:
        names = [members[place].rollout.rollout_id for place in left]
        first = members[left[0]].rollout
        reference = with_reference(first, opponents=[members[place].told for place in left[1:]])
        try:
            verdict = await ctx.score("judge", first, reference=reference, options=judge_options)
        except FaultError as error:
            # Who provably makes the judge fail does not win, and does not spare the others the comparison.
            blamed = _blamed(error)
            if not blamed or options.on_provoked == "fault":
                raise
            records.append({"shown": names, **evidence_of(error)})
            left = [place for rank, place in enumerate(left) if rank not in blamed]
        else:
            records.append({"shown": names, **evidence_of(verdict)})
            return _WindowOutcome(left[int(dict(verdict.aspects)["picked"] or 0)], tuple(records))
    return _WindowOutcome(left[0] if left else None, tuple(records))


def _blamed(error: FaultError) -> set[int]:
    """Places of the responses that the judge's fault names as its cause."""
    evidence = json.loads(error.evidence) if isinstance(error.evidence, bytes) and error.evidence else {}
    return set(evidence.get("provoked_by", ())) if error.code.startswith("judge_provoked_") else set()


@verifier(
    "best_of",
    version="5",
    scope="group",
    deterministic=False,
    limits=ItemLimits(wall_s=3600.0),
    aspects=dict.fromkeys(("valid_pairs", "asked_pairs", "won"), 0.0),
)
async def best_of(group: Group, options: BestOfOptions, ctx: Context) -> Sequence[Score | Fault]:
    """How often a judge finds a response the best of several. Each of them is shown once at every place.

    Source: listwise choice of a judge with its places balanced, after arXiv 2305.17926.
    """
    members = await contestants(list(group), options, images=options.show_images)
    ids = [member.rollout.rollout_id for member in members]
    # Equal responses are one: the judge could only choose between them by their place.
    first_of = {member.same_as: place for place, member in reversed(list(enumerate(members))) if not member.out}
    alike = {
        place: [other for other, member in enumerate(members) if member.same_as == members[place].same_as]
        for place in first_of.values()
    }
    chosen = sorted(alike)
    names = [ids[place] for place in chosen]
    window_ids = [tuple(chosen[rank] for rank in window) for window in windows(names, ctx.seed, options.max_shown)]
    verdicts = await settled([_best(window, members, options, ctx) for window in window_ids])
    tallies = [Tally() for _ in members]
    for window, verdict in zip(window_ids, verdicts, strict=True):
        for place in window:
            others = [ids[other] for other in window if other != place]
            for other in alike[place]:
                if isinstance(verdict, FaultError):
                    tallies[other].add(others, verdict)
                else:
                    tallies[other].add(others, float(verdict.best == place) / len(alike[place]), verdict.told)
    return [
        Score.floor(member.out, "the response is not compared") if member.out else tally.judgement(options.min_valid)
        for member, tally in zip(members, tallies, strict=True)
    ]
