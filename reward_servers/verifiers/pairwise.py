"""Ranks the responses of a group, by a judge that compares two of them or a preference model that scores each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from reward_servers import Context, Fault, FaultError, Group, ItemLimits, Score, verifier
from reward_servers.engines.ranking import Comparison, bradley_terry, chances_to_win, spread_pairs, swiss_round
from reward_servers.verifiers._comparing import (
    ComparingOptions,
    Contestant,
    Tally,
    contestants,
    evidence_of,
    settled,
    with_reference,
)
from reward_servers.verifiers._judge_options import WeighingOptions
from reward_servers.verifiers.judge import OPPONENT_PROVOKED
from reward_servers.verifiers.models.comparison import OPPONENT_TOO_LONG

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ComparisonOutcome:
    """What a comparison came to.

    Attributes:
        won: The share that the first of the two wins.
        lost: The share that the second wins.
        told: Evidence of the verdicts that decided it.
    """

    won: float
    lost: float
    told: tuple[Mapping[str, Any], ...] = ()


class PairwiseOptions(ComparingOptions, WeighingOptions):
    """The verifier that compares, the pairs, and how wins become a score."""

    by: Literal["judge", "preference", "comparison"] = Field(
        "judge", description="A judge, a preference model that scores each response, or a pair model ('comparison')."
    )
    protocol: Literal["pairwise", "arena"] = Field(
        "pairwise", description="'arena': the judge says how much better one is, and a slight win is three quarters."
    )
    both_orders: bool = Field(True, description="Whether the judge sees each pair in both orders, counting half each.")
    schedule: Literal["spread", "swiss"] = Field(
        "spread",
        description="'spread': each meets about equally many others; 'swiss': those of about equal points.",
    )
    max_pairs: int | None = Field(None, ge=1, description="Pairs compared when they are spread; None for all.")
    rounds: int = Field(
        3, ge=1, le=64, description="Rounds of the Swiss schedule; each has half as many pairs as members."
    )
    rating: Literal["win_rate", "bradley_terry"] = Field(
        "win_rate", description="'bradley_terry' allows for whom a response met."
    )
    tie_margin: float = Field(0.0, ge=0, description="Scores of the preference model this close are a tie.")

    @property
    def joint(self) -> bool:
        """Whether every comparison shapes every score, so that one that fails leaves no score."""
        return self.schedule == "swiss" or self.rating == "bradley_terry"

    @model_validator(mode="after")
    def _check(self) -> PairwiseOptions:
        if self.schedule == "swiss" and self.max_pairs is not None:
            raise ValueError("max_pairs is for the spread schedule; a Swiss one has rounds")
        if misfit := self.misfit(self.protocol):
            raise ValueError(misfit)
        if self.by != "judge":
            for name in sorted(self.model_fields_set & _FOR_JUDGES):
                raise ValueError(f"{name} is for by = 'judge'; {self.by} reads texts, and no words of ours")
        return self

    def for_judge(self) -> dict[str, Any]:
        """The options that are passed on to the judge."""
        return {**super().for_judge(), "protocol": self.protocol}


_FOR_JUDGES = frozenset(
    ("criteria", "protocol", "template", "reply", "expected", "on_provoked", "show_transcript", "trust_prompt")
)


async def _ask_judge(
    first: Contestant, second: Contestant, options: PairwiseOptions, ctx: Context
) -> ComparisonOutcome:
    """The shares that the two responses win. Each of the two orders is half of a comparison."""
    judge_options = options.for_judge()
    reference = with_reference(first.rollout, opponent=second.told)
    places = (0, 1) if options.both_orders else (0,)
    verdicts = await asyncio.gather(
        *(
            ctx.score("judge", first.rollout, reference=reference, options={**judge_options, "place": place})
            for place in places
        )
    )
    # A response that made the judge fail loses. If both did, both lose.
    won = sum(verdict.score for verdict in verdicts) / len(verdicts)
    lost = sum(1.0 - verdict.score for verdict in verdicts if not dict(verdict.aspects).get(OPPONENT_PROVOKED))
    ids = first.rollout.rollout_id, second.rollout.rollout_id
    records = [
        {"shown": [ids[place], ids[1 - place]], "about": ids[0], **evidence_of(verdict)}
        for place, verdict in zip(places, verdicts, strict=True)
    ]
    return ComparisonOutcome(won, lost / len(verdicts), tuple(records))


async def _ask_pair_model(
    first: Contestant, second: Contestant, options: PairwiseOptions, ctx: Context
) -> ComparisonOutcome:
    """The probability that ``first`` wins, and its rest: the model reads both orders.

    Of two that the model cannot read together the longer one loses, and both where they are equally long.
    """
    reference = with_reference(first.rollout, opponent=second.text)
    try:
        verdict = await ctx.score("comparison", first.rollout, reference=reference)
    except FaultError as fault:
        if fault.code != OPPONENT_TOO_LONG:
            raise
        return ComparisonOutcome(1.0, 0.0, (evidence_of(fault),))
    lost = 1.0 - verdict.score
    if verdict.code == "limit":
        turned = with_reference(second.rollout, opponent=first.text)
        try:
            lost = (await ctx.score("comparison", second.rollout, reference=turned)).score
        except FaultError as fault:
            if fault.code != OPPONENT_TOO_LONG:
                raise
    return ComparisonOutcome(verdict.score, lost, (evidence_of(verdict),))


async def _score_of(contestant: Contestant, ctx: Context) -> float:
    return (await ctx.score("preference", contestant.rollout)).score


class _Contest:
    """The comparisons of one group. Each is made when it is needed."""

    def __init__(self, members: Sequence[Contestant], options: PairwiseOptions, ctx: Context) -> None:
        self.members = members
        self.names = [member.rollout.rollout_id for member in members]
        self.out = [member.out for member in members]
        self._options = options
        self._ctx = ctx
        self._scores: dict[int, float | FaultError] = {}

    async def compare(self, pairs: Sequence[Pair]) -> list[ComparisonOutcome | FaultError]:
        """The outcomes of some pairs."""
        decided: dict[Pair, ComparisonOutcome | FaultError] = {}
        contests: list[Pair] = []
        for a, b in pairs:
            # Equal responses tie, and one that is out loses: no one needs to be asked.
            if self.out[a] or self.out[b] or self.members[a].same_as == self.members[b].same_as:
                won = 0.5 if bool(self.out[a]) == bool(self.out[b]) else float(not self.out[a])
                decided[a, b] = ComparisonOutcome(won, 1.0 - won)
            else:
                contests.append((a, b))
        ways = {"judge": self._by_judge, "preference": self._by_preference, "comparison": self._by_pair_model}
        decided.update(zip(contests, await ways[self._options.by](contests), strict=True))
        return [decided[pair] for pair in pairs]

    async def _by_judge(self, pairs: Sequence[Pair]) -> list[ComparisonOutcome | FaultError]:
        members = self.members
        return await settled([_ask_judge(members[a], members[b], self._options, self._ctx) for a, b in pairs])

    async def _by_pair_model(self, pairs: Sequence[Pair]) -> list[ComparisonOutcome | FaultError]:
        members = self.members
        return await settled([_ask_pair_model(members[a], members[b], self._options, self._ctx) for a, b in pairs])

    async def _by_preference(self, pairs: Sequence[Pair]) -> list[ComparisonOutcome | FaultError]:
        new = sorted({place for pair in pairs for place in pair} - set(self._scores))
        scores = await settled([_score_of(self.members[place], self._ctx) for place in new])
        self._scores.update(zip(new, scores, strict=True))
        shares: list[ComparisonOutcome | FaultError] = []
        for a, b in pairs:
            first, second = self._scores[a], self._scores[b]
            if isinstance(first, FaultError):
                shares.append(first)
            elif isinstance(second, FaultError):
                shares.append(second)
            else:
                won = 0.5 if abs(first - second) <= self._options.tie_margin else float(first > second)
                record = {"scores": {self.names[a]: first, self.names[b]: second}}
                shares.append(ComparisonOutcome(won, 1.0 - won, (record,)))
        return shares

    async def play(self) -> list[tuple[Pair, ComparisonOutcome | FaultError]]:
        """All comparisons of the schedule."""
        options, seed = self._options, self._ctx.seed
        if options.schedule == "spread":
            pairs = spread_pairs(self.names, seed, options.max_pairs)
            return list(zip(pairs, await self.compare(pairs), strict=True))
        played: list[tuple[Pair, ComparisonOutcome | FaultError]] = []
        points, met_pairs = [0.0] * len(self.names), set[frozenset[int]]()
        for _ in range(options.rounds):
            pairs = swiss_round(self.names, seed, points, met_pairs)
            outcomes = await self.compare(pairs)
            played += zip(pairs, outcomes, strict=True)
            if any(isinstance(outcome, FaultError) for outcome in outcomes):
                # Who meets whom next would depend on which judge was away.
                break
            for (a, b), outcome in zip(pairs, outcomes, strict=True):
                assert isinstance(outcome, ComparisonOutcome)
                points[a] += outcome.won
                points[b] += outcome.lost
                met_pairs.add(frozenset((a, b)))
        return played


@verifier(
    "pairwise",
    version="9",
    scope="group",
    deterministic=False,
    limits=ItemLimits(wall_s=3600.0),
    aspects=dict.fromkeys(("valid_pairs", "asked_pairs", "won"), 0.0),
)
async def pairwise(group: Group, options: PairwiseOptions, ctx: Context) -> Sequence[Score | Fault]:
    """How a response ranks within its group: the share of comparisons that it wins, or its Bradley-Terry strength.

    Sources: Pref-GRPO (CodeGoat24/Pref-GRPO @3e787f6d) for win rates; Bradley and Terry (Biometrika 39, 1952).
    """
    # The models of preference and of pairs read texts.
    members = await contestants(list(group), options, images=options.show_images and options.by == "judge")
    contest = _Contest(members, options, ctx)
    size = len(contest.names)
    tallies = [Tally() for _ in range(size)]
    valid: list[Comparison] = []
    failed: list[FaultError] = []
    for (a, b), outcome in await contest.play():
        if isinstance(outcome, FaultError):
            failed.append(outcome)
            tallies[a].add([contest.names[b]], outcome)
            tallies[b].add([contest.names[a]], outcome)
        else:
            valid.append(Comparison(a, b, outcome.won, outcome.lost))
            tallies[a].add([contest.names[b]], outcome.won, outcome.told)
            tallies[b].add([contest.names[a]], outcome.lost, outcome.told)
    if failed and options.joint:
        cause = next((fault for fault in failed if not fault.retryable), failed[0]).to_fault()
        cause.message = (
            f"{len(failed)} comparisons are not valid, and every score rests on all of them; {cause.message}"
        )
        return [Score.floor(code, "the response is not compared") if code else cause for code in contest.out]
    scores: Sequence[float | None] = [None] * size
    if options.rating == "bradley_terry":
        scores = chances_to_win(bradley_terry(valid, size))
    return [
        Score.floor(code, "the response is not compared") if code else tally.judgement(options.min_valid, score)
        for code, tally, score in zip(contest.out, tallies, scores, strict=True)
    ]
