"""Weighted criteria, each put to the judge as a question of its own."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from reward_servers import (
    Context,
    DatasetError,
    FaultError,
    ItemLimits,
    Options,
    Reference,
    Rollout,
    Score,
    Verdict,
    verifier,
)
from reward_servers.verifiers._shown import shown

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Criterion(Reference):
    """One criterion; a negative weight makes it a penalty that meeting it costs."""

    id: Text
    text: Text
    weight: float = Field(1.0, allow_inf_nan=False)


class RubricReference(Reference):
    """The criteria of a prompt."""

    rubric: tuple[Criterion, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _check(self) -> RubricReference:
        if len({one.id for one in self.rubric}) != len(self.rubric):
            raise ValueError("two criteria have the same id")
        if not any(one.weight for one in self.rubric):
            raise ValueError("no criterion has a weight other than 0")
        return self


class RubricOptions(Options):
    """How a criterion is put to the judge, and how the weighted sum becomes a score."""

    protocol: Literal["binary", "likert_1_10", "likert_1_5"] = "binary"
    scale: Literal["positive", "range"] = Field(
        "positive",
        description="'positive': the sum over the sum of positive weights, clipped to [0, 1], like HealthBench. "
        "'range': the sum's place between its least and its greatest possible value.",
    )
    show_reference: bool = Field(True, description="Whether the judge sees the reference answer.")
    show_transcript: bool = Field(False, description="Whether it sees all turns and tool calls, or the last answer.")
    on_provoked: Literal["floor", "fault"] = Field(
        "floor", description="What a failure of the judge that the response provably caused is: the floor, or a fault."
    )
    show_reasoning: bool = Field(False, description="Whether it sees reasoning, or only what is visible.")
    max_reasks: int = Field(2, ge=0, le=5, description="How often an unusable reply is asked again.")


def _scaled(values: dict[str, float], criteria: tuple[Criterion, ...], scale: str) -> float:
    total = sum(one.weight * values[one.id] for one in criteria)
    most = sum(one.weight for one in criteria if one.weight > 0)
    least = sum(one.weight for one in criteria if one.weight < 0)
    if scale == "range":
        return min(1.0, max(0.0, (total - least) / (most - least)))
    if most == 0:
        raise DatasetError("reference.rubric: no weight is positive; use option scale = 'range'")
    return min(1.0, max(0.0, total / most))


def _report(faults: dict[str, FaultError], asked: int) -> FaultError:
    """One fault for those of the criteria: what trying again cannot mend speaks for all."""
    worst = next((fault for fault in faults.values() if not fault.retryable), next(iter(faults.values())))
    names = ", ".join(f"{name} ({fault.code})" for name, fault in faults.items())
    waits = [fault.retry_after for fault in faults.values() if fault.retry_after is not None]
    message = f"{len(faults)} of {asked} criteria got no verdict: {names}; {worst}"
    return type(worst)(
        message,
        code=worst.code,
        retryable=worst.retryable,
        retry_after=max(waits) if worst.retryable and waits else None,
        evidence=worst.evidence,
    )


# A criterion without a verdict leaves the whole without one: a sum over those that happened to be judged would depend
# on the judge's load.
@verifier("rubric", version="2", deterministic=False, concurrency=512, limits=ItemLimits(wall=3600.0, response=1 << 18))
async def rubric(rollout: Rollout, ref: RubricReference, options: RubricOptions, ctx: Context) -> Score:
    """How much of a weighted list of criteria the response meets, as a judge sees it."""
    if not shown(rollout, transcript=options.show_transcript, reasoning=options.show_reasoning).strip():
        return Score.floor("no_answer", "the response is empty")
    shared = options.model_dump(exclude={"scale"})
    asked = [one for one in ref.rubric if one.weight]
    answers = await asyncio.gather(
        *(ctx.score("judge", rollout, options={**shared, "criteria": one.text}) for one in asked),
        return_exceptions=True,
    )
    provoked = [one for one in answers if isinstance(one, Verdict) and one.code.startswith("provoked_")]
    if provoked:
        # The floor of one criterion could be a gain: that of a criterion that costs when it is met.
        return Score.floor(provoked[0].code, provoked[0].note, {"judge": provoked[0].evidence.decode()})
    values: dict[str, float] = {}
    faults: dict[str, FaultError] = {}
    evidence = []
    for one, answer in zip(asked, answers, strict=True):
        if isinstance(answer, FaultError):
            faults[one.id] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            values[one.id] = answer.score
            evidence.append({"id": one.id, "weight": one.weight, "judge": answer.evidence.decode()})
    if faults:
        raise _report(faults, len(asked))
    return Score(_scaled(values, tuple(asked), options.scale), aspects=values, evidence={"criteria": evidence})
