"""Win rates within a group, from a judge that compares two responses or a preference model that scores each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import Field

from reward_servers import (
    CallerError,
    Context,
    DatasetError,
    Fault,
    FaultError,
    Group,
    ItemLimits,
    Options,
    Rollout,
    Score,
    verifier,
)
from reward_servers.engines.judging import spread_pairs
from reward_servers.verifiers._shown import shown
from reward_servers.verifiers.judge import OPPONENT_PROVOKED

__all__ = ["PairwiseOptions", "pairwise"]

T = TypeVar("T")
Shares = tuple[float, float]

_LONGEST = 1 << 18
"""Bytes of a response that is compared: what the judge takes."""


class PairwiseOptions(Options):
    """Who compares, and which pairs."""

    by: Literal["judge", "preference"] = "judge"
    criteria: str = Field("", description="What the judge compares by; empty for its own sentence.")
    show_reference: bool = Field(True, description="Whether the judge sees the reference answer.")
    show_reasoning: bool = Field(False, description="Whether the judge sees reasoning, or only what is visible.")
    both_orders: bool = Field(True, description="Whether the judge sees each pair in both orders, counting half each.")
    max_reasks: int = Field(2, ge=0, le=5, description="How often an unusable reply is asked again.")
    max_pairs: int | None = Field(None, ge=1, description="Pairs compared; None for all. Fewer are spread evenly.")
    tie_margin: float = Field(0.0, ge=0, description="Scores of the preference model this close are a tie.")
    min_valid: float = Field(
        0.0, ge=0, le=1, description="Share of a rollout's comparisons that must be valid; below it there is no score."
    )


@dataclass(slots=True)
class _Tally:
    """What became of one rollout's comparisons."""

    wins: float = 0.0
    valid: int = 0
    pairs: list[dict[str, Any]] = field(default_factory=list)
    faults: list[FaultError] = field(default_factory=list)

    def add(self, other: str, share: float | FaultError) -> None:
        if isinstance(share, FaultError):
            self.faults.append(share)
            self.pairs.append({"against": other, "fault": share.code})
        else:
            self.wins += share
            self.valid += 1
            self.pairs.append({"against": other, "won": share})

    def judgement(self, min_valid: float) -> Score | Fault:
        asked = len(self.pairs)
        if not asked:
            message = "no comparison involves this rollout; a group needs two, and max_pairs half of its size"
            return CallerError(message, code="no_comparison").to_fault()
        if self.valid == 0 or self.valid < min_valid * asked:
            cause = next((fault for fault in self.faults if not fault.retryable), self.faults[0])
            fault = cause.to_fault()
            fault.message = f"{self.valid} of {asked} comparisons are valid; {cause}"
            return fault
        aspects = {"valid_pairs": float(self.valid), "asked_pairs": float(asked)}
        return Score(self.wins / self.valid, aspects=aspects, evidence={"pairs": self.pairs})


def _with_opponent(rollout: Rollout, opponent: str) -> bytes:
    try:
        known = json.loads(rollout.reference or b"{}")
    except ValueError as error:
        raise DatasetError(f"reference: it is not JSON: {error}") from None
    if not isinstance(known, Mapping):
        raise DatasetError("reference: it is not a JSON object")
    return json.dumps({**known, "opponent": opponent}).encode()


async def _ask_judge(first: Rollout, second: Rollout, options: PairwiseOptions, ctx: Context) -> Shares:
    """The shares that the two win; both orders are halves of one comparison."""
    asked = {
        "protocol": "pairwise",
        **options.model_dump(include={"criteria", "show_reference", "show_reasoning", "max_reasks"}),
    }
    reference = _with_opponent(first, shown(second, reasoning=options.show_reasoning))
    places = (0, 1) if options.both_orders else (0,)
    verdicts = await asyncio.gather(
        *(ctx.score("judge", first, reference=reference, options={**asked, "place": place}) for place in places)
    )
    # A response that provoked a failure of the judge loses, and so does the other one if it did as well.
    won = sum(verdict.score for verdict in verdicts) / len(verdicts)
    lost = sum(1.0 - verdict.score for verdict in verdicts if not dict(verdict.aspects).get(OPPONENT_PROVOKED))
    return won, lost / len(verdicts)


async def _score_of(rollout: Rollout, ctx: Context) -> float:
    return (await ctx.score("preference", rollout)).score


async def _settled(tasks: Sequence[Awaitable[T]]) -> list[T | FaultError]:
    """The results, faults among them; any other error is a defect and is raised."""
    results: list[T | FaultError] = []
    for one in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(one, BaseException) and not isinstance(one, FaultError):
            raise one
        results.append(one)
    return results


async def _shares(
    rollouts: Sequence[Rollout], pairs: Sequence[tuple[int, int]], options: PairwiseOptions, ctx: Context
) -> list[Shares | FaultError]:
    """What the two of each pair win."""
    if options.by == "judge":
        return await _settled([_ask_judge(rollouts[a], rollouts[b], options, ctx) for a, b in pairs])
    members = sorted({place for pair in pairs for place in pair})
    verdicts = await _settled([_score_of(rollouts[place], ctx) for place in members])
    scores = dict(zip(members, verdicts, strict=True))
    shares: list[Shares | FaultError] = []
    for a, b in pairs:
        first, second = scores[a], scores[b]
        if isinstance(first, FaultError):
            shares.append(first)
        elif isinstance(second, FaultError):
            shares.append(second)
        else:
            won = 0.5 if abs(first - second) <= options.tie_margin else float(first > second)
            shares.append((won, 1.0 - won))
    return shares


def _out_of_contest(rollout: Rollout, text: str) -> str:
    """Why a response loses without being compared; empty when it is to be compared."""
    if not text.strip():
        return "no_answer"
    return "limit" if len(rollout.response.encode("utf-8", "replace")) > _LONGEST else ""


@verifier(
    "pairwise",
    version="3",
    scope="group",
    deterministic=False,
    limits=ItemLimits(wall=3600.0),
    aspects=("valid_pairs", "asked_pairs"),
)
async def pairwise(group: Group, options: PairwiseOptions, ctx: Context) -> Sequence[Score | Fault]:
    """The share of comparisons within its group that each response wins; a tie counts half."""
    rollouts = list(group)
    names = [rollout.rollout_id for rollout in rollouts]
    texts = [shown(rollout, reasoning=options.show_reasoning) for rollout in rollouts]
    out = [_out_of_contest(rollout, text) for rollout, text in zip(rollouts, texts, strict=True)]
    decided: dict[tuple[int, int], Shares | FaultError] = {}
    contests: list[tuple[int, int]] = []
    pairs = spread_pairs(names, ctx.seed, options.max_pairs)
    for a, b in pairs:
        # Equal responses tie, and one that is out loses: nobody needs to be asked.
        if out[a] or out[b] or texts[a] == texts[b]:
            won = 0.5 if bool(out[a]) == bool(out[b]) else float(not out[a])
            decided[a, b] = (won, 1.0 - won)
        else:
            contests.append((a, b))
    decided.update(zip(contests, await _shares(rollouts, contests, options, ctx), strict=True))
    tallies = [_Tally() for _ in rollouts]
    for a, b in pairs:
        shares = decided[a, b]
        first, second = (shares, shares) if isinstance(shares, FaultError) else shares
        tallies[a].add(names[b], first)
        tallies[b].add(names[a], second)
    return [
        Score.floor(code, "the response is not compared") if code else tally.judgement(options.min_valid)
        for code, tally in zip(out, tallies, strict=True)
    ]
