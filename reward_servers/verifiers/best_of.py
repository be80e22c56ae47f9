"""Shows a judge several responses at once, each of them at every place in turn, and counts how often each is best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from reward_servers import Context, Fault, FaultError, Group, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.ranking import windows
from reward_servers.verifiers._comparing import (
    ComparingOptions,
    Tally,
    out_of_contest,
    settled,
    texts_of,
    unseen_pictures,
    with_reference,
)
from reward_servers.verifiers._shown import has_pictures


class BestOfOptions(ComparingOptions):
    """How many responses the judge sees at once."""

    max_shown: int = Field(4, ge=2, le=26, description="Responses shown together; all of a group that has fewer.")


async def _best(window: Sequence[int], rollouts: Sequence[Rollout], texts: Sequence[str], asked: _Asked) -> int | None:
    """The best of a window; None when each of them made the judge fail.

    Raises:
        FaultError: The judge gave no verdict.
    """
    left = list(window)
    unseen = unseen_pictures(rollouts[place] for place in left) if asked.images else None
    if unseen is not None:
        raise unseen
    while len(left) > 1:
        reference = with_reference(rollouts[left[0]], opponents=[texts[place] for place in left[1:]])
        try:
            verdict = await asked.ctx.score("judge", rollouts[left[0]], reference=reference, options=asked.options)
        except FaultError as error:
            # Who provably makes the judge fail does not win, and does not spare the others the comparison.
            blamed = _blamed(error)
            if not blamed:
                raise
            left = [place for rank, place in enumerate(left) if rank not in blamed]
        else:
            return left[int(dict(verdict.aspects)["picked"] or 0)]
    return left[0] if left else None


class _Asked:
    """How the judge is asked."""

    def __init__(self, options: BestOfOptions, ctx: Context) -> None:
        self.ctx = ctx
        self.images = options.show_images
        self.options: Mapping[str, Any] = {**options.for_judge(), "protocol": "best_of", "on_provoked": "fault"}


def _blamed(error: FaultError) -> set[int]:
    """Places of the responses that the judge's fault names as its cause."""
    known = json.loads(error.evidence) if isinstance(error.evidence, bytes) and error.evidence else {}
    return set(known.get("provoked_by", ())) if error.code.startswith("judge_provoked_") else set()


@verifier(
    "best_of",
    version="4",
    scope="group",
    deterministic=False,
    limits=ItemLimits(wall_s=3600.0),
    aspects=dict.fromkeys(("valid_pairs", "asked_pairs", "won"), 0.0),
)
async def best_of(group: Group, options: BestOfOptions, ctx: Context) -> Sequence[Score | Fault]:
    """How often a response is the best of those that a judge sees together, each of them once at every place."""
    rollouts = list(group)
    texts = texts_of(rollouts, options)
    images = options.show_images
    out = [out_of_contest(one, text, images=images) for one, text in zip(rollouts, texts, strict=True)]
    # Equal responses are one: the judge could only choose between them by their place.
    same = [(text, images and has_pictures(one, transcript=False)) for one, text in zip(rollouts, texts, strict=True)]
    first_of = {told: place for place, told in reversed(list(enumerate(same))) if not out[place]}
    alike = {place: [other for other, told in enumerate(same) if told == same[place]] for place in first_of.values()}
    members = sorted(alike)
    names = [rollouts[place].rollout_id for place in members]
    shown = [tuple(members[rank] for rank in window) for window in windows(names, ctx.seed, options.max_shown)]
    asked = _Asked(options, ctx)
    winners = await settled([_best(window, rollouts, texts, asked) for window in shown])
    tallies = [Tally() for _ in rollouts]
    for window, winner in zip(shown, winners, strict=True):
        for place in window:
            others = [rollouts[other].rollout_id for other in window if other != place]
            share = winner if isinstance(winner, FaultError) else float(winner == place) / len(alike[place])
            for other in alike[place]:
                tallies[other].add(others, share)
    return [
        Score.floor(code, "the response is not compared") if code else tally.judgement(options.min_valid)
        for code, tally in zip(out, tallies, strict=True)
    ]
