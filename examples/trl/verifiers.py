"""What judges the toy task, and how it can be down."""

from __future__ import annotations

from random import Random

from pydantic import Field

from reward_servers import Context, Options, Reference, Rollout, ServiceError, verifier


class Letters(Reference):
    """The letters that would have been right."""

    answer: str


class Outage(Options):
    """Whether the verifier is down for some of what it is asked."""

    outage: float = Field(0.0, ge=0.0, le=1.0, description="Share of the rollouts that get no verdict, by chance.")


@verifier("example/letters", version="1", deterministic=False)
async def letters(rollout: Rollout, ref: Letters, options: Outage, ctx: Context) -> float:
    """The share of the letters that are right, each in its place."""
    if Random(ctx.seed).random() < options.outage:  # noqa: S311 - no secret
        raise ServiceError("the judge is gone", code="judge_unavailable")
    letters_given, right = rollout.response.split(), ref.answer.split()
    return sum(letter == right_letter for letter, right_letter in zip(letters_given, right, strict=False)) / len(right)
