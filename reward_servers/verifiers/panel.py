"""Asks several judges, or one several times, and makes one score of their votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reward_servers import Context, FaultError, ItemLimits, Options, Rollout, Score, Verdict, verifier
from reward_servers.engines.judging import Belief, Vote, agreement, combine, decided
from reward_servers.verifiers._comparing import evidence_of, settled
from reward_servers.verifiers._judge_options import check_asked
from reward_servers.verifiers._shown import is_empty, reader_view

Share = Annotated[float, Field(gt=0, lt=1)]


class PanelJudge(BaseModel):
    """One judge of a panel: one of the models of the verifier `judge`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(1.0, gt=0, allow_inf_nan=False)
    votes: int = Field(1, ge=1, le=64, description="How often it is asked, each time with another seed.")
    right_yes: Share = Field(0.9, description="How often it says yes to a right response; for 'bayes'.")
    wrong_yes: Share = Field(0.1, description="How often it says yes to a wrong one; for 'bayes'.")
    cost: float = Field(1.0, ge=0, allow_inf_nan=False, description="What a call costs; for 'bayes'.")


class PanelOptions(Options):
    """Who is asked what, and how the votes become a score."""

    judges: dict[str, PanelJudge] = Field(
        default_factory=dict, max_length=32, description="By name of the judge's model; none for its only one."
    )
    votes: int = Field(3, ge=1, le=64, description="How often the only model is asked, where no judges are named.")
    ask: dict[str, Any] = Field(default_factory=dict, description="Options of the judge, such as its protocol.")
    combine: Literal["mean", "median", "trimmed_mean", "majority", "bayes"] = "mean"
    quorum: int | None = Field(None, ge=1, description="Votes that suffice where others fail; None for all.")
    prior: Share = Field(0.5, description="How likely a response is right before anyone is asked; for 'bayes'.")
    certainty: float = Field(0.95, gt=0.5, le=1, description="When it is sure enough to ask no further; for 'bayes'.")
    bits_per_cost: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="What a vote must tell for each unit of its cost; for 'bayes'."
    )

    @model_validator(mode="after")
    def _check(self) -> PanelOptions:
        if reserved := sorted({"model", "sample"} & set(self.ask)):
            raise ValueError(f"ask.{reserved[0]}: the panel sets it; name the models under judges")
        if self.quorum is not None and self.quorum > len(self.seats()):
            raise ValueError(f"quorum {self.quorum} is more than the {len(self.seats())} votes")
        if self.quorum is not None and self.combine == "bayes":
            raise ValueError("quorum is for votes; 'bayes' asks as many as it needs")
        check_asked(self.ask)
        return self

    def seats(self) -> list[_Seat]:
        """Every vote that may be asked for, the weightiest first."""
        judges = self.judges or {"": PanelJudge.model_validate({"votes": self.votes})}
        seats = [_Seat(name, number, judge) for name, judge in judges.items() for number in range(judge.votes)]
        return sorted(seats, key=lambda seat: -seat.judge.weight)


@dataclass(frozen=True, slots=True)
class _Seat:
    name: str
    sample: int
    judge: PanelJudge

    @property
    def label(self) -> str:
        return f"{self.name}#{self.sample}" if self.sample else self.name


class _Panel:
    """The votes on one rollout, collected as they arrive."""

    def __init__(self, rollout: Rollout, options: PanelOptions, ctx: Context) -> None:
        self._rollout, self._options, self._ctx = rollout, options, ctx
        self.votes: list[Vote] = []
        self.faults: list[FaultError] = []
        self.asked = 0
        self._told: list[dict[str, Any]] = []
        self._failed: list[dict[str, Any]] = []

    async def ask(self, seats: Sequence[_Seat]) -> list[float | FaultError]:
        """The votes of some seats, asked side by side."""
        self.asked += len(seats)
        replies = await settled([self._vote(seat) for seat in seats])
        for seat, reply in zip(seats, replies, strict=True):
            record = {"judge": seat.label, "weight": seat.judge.weight, **evidence_of(reply)}
            if isinstance(reply, FaultError):
                self.faults.append(reply)
                self._failed.append(record)
            else:
                self.votes.append(Vote(seat.label, reply.score, seat.judge.weight))
                self._told.append(record)
        return [reply if isinstance(reply, FaultError) else reply.score for reply in replies]

    async def _vote(self, seat: _Seat) -> Verdict:
        options = {**self._options.ask, "model": seat.name, "sample": seat.sample}
        return await self._ctx.score("judge", self._rollout, options=options)

    def refuse(self) -> FaultError:
        """The fault that leaves the panel without a score: one that does not pass before one that may."""
        return next((fault for fault in self.faults if not fault.retryable), self.faults[0])

    def score(self, value: float) -> Score:
        """The panel's score."""
        aspects = {"votes": float(len(self.votes)), "agreement": agreement(self.votes)}
        evidence = {"votes": self._told, "asked": self.asked, "failed": self._failed}
        return Score(value, aspects=aspects, evidence=evidence)


async def _majority(panel: _Panel, seats: list[_Seat], quorum: int | None) -> bool:
    """Ask until the open votes cannot change the majority. True if there is a majority or enough judges voted."""
    total, needed, first, least = sum(seat.judge.weight for seat in seats), 0.0, 0, quorum or 0
    while first < len(seats) and (needed <= total / 2 or first < least):
        needed += seats[first].judge.weight
        first += 1
    waiting = seats[first:]
    missing: list[float] = []

    async def ask(asked_seats: Sequence[_Seat]) -> None:
        replies = zip(asked_seats, await panel.ask(asked_seats), strict=True)
        lost = [seat.judge.weight for seat, reply in replies if isinstance(reply, FaultError)]
        # With a quorum a vote that fails is left out; without one it might have been any.
        missing.extend(lost if quorum is None else ())

    await ask(seats[:first])
    while waiting and len(panel.votes) + len(waiting) >= least:
        left = [*missing, *(seat.judge.weight for seat in waiting)]
        if len(panel.votes) >= least and decided(panel.votes, left):
            break
        await ask([waiting.pop(0)])
    if quorum is not None:
        return len(panel.votes) >= quorum
    return not missing or decided(panel.votes, missing)


async def _bayes(panel: _Panel, options: PanelOptions) -> float:
    """How likely the response is right; asks the judge that tells most for its cost until that is certain enough.

    Raises:
        FaultError: One that should be asked gave no verdict. Asking another would let the load choose the judges.
    """
    belief, left = Belief(options.prior), {seat.label: seat for seat in options.seats()}
    while left and belief.certainty < options.certainty:
        judges = {
            name: (judge.judge.right_yes, judge.judge.wrong_yes, judge.judge.cost) for name, judge in left.items()
        }
        name = belief.next_judge(judges, options.bits_per_cost)
        if name is None:
            break
        seat = left.pop(name)
        vote = (await panel.ask([seat]))[0]
        if isinstance(vote, FaultError):
            raise vote
        belief = belief.after(vote >= 0.5, seat.judge.right_yes, seat.judge.wrong_yes)
    return belief.right


@verifier(
    "panel",
    version="5",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 18),
    aspects={"votes": 0.0, "agreement": 0.0},
)
async def panel(rollout: Rollout, options: PanelOptions, ctx: Context) -> Score:
    """The combined verdict of several judges: a mean, a median, a majority, or the probability of a right response.

    Source: juries of models (arXiv 2404.18796); `bayes` is sequential testing after Wald (1945).
    """
    ask = options.ask
    transcript, reasoning = bool(ask.get("show_transcript")), bool(ask.get("show_reasoning"))
    text = reader_view(rollout, transcript=transcript, reasoning=reasoning)
    if is_empty(rollout, text, transcript=transcript, images=bool(ask.get("show_images", True))):
        return Score.floor("no_answer", "the response is empty")
    panel_of_judges, seats = _Panel(rollout, options, ctx), options.seats()
    if options.combine == "bayes":
        return panel_of_judges.score(await _bayes(panel_of_judges, options))
    if options.combine == "majority":
        if not await _majority(panel_of_judges, seats, options.quorum):
            raise panel_of_judges.refuse()
        return panel_of_judges.score(combine(panel_of_judges.votes, "majority"))
    await panel_of_judges.ask(seats)
    if len(panel_of_judges.votes) < (len(seats) if options.quorum is None else options.quorum):
        raise panel_of_judges.refuse()
    return panel_of_judges.score(combine(panel_of_judges.votes, options.combine))
