"""Mathematical answers, on the engine in ``reward_servers.engines.math``."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator

from reward_servers import (
    Fault,
    ItemLimits,
    Options,
    Party,
    Reference,
    Rollout,
    Score,
    verifier,
)
from reward_servers.engines.math import (
    PROFILES,
    VERSION,
    Gold,
    Judgement,
    Outcome,
    Policy,
    integers_in,
    judge,
)

_CODES = {
    Outcome.CORRECT: "accepted",
    Outcome.INCORRECT: "wrong",
    Outcome.NO_ANSWER: "no_answer",
    Outcome.LIMIT: "limit",
}


class Answer(Reference):
    """The expected answer.

    Attributes:
        answer: As data sets write it; several where ``mode`` says how they go together.
        mode: Whether any of several answers is right, or all are asked for.
        hint: The kind of answer, where the data set knows it.
        choices: Letter and text of each option of a choice.
        integers: Variables that stand for integers, beside those that the prompt declares.
    """

    answer: str | int | float | list[str | int | float] = Field(union_mode="left_to_right")
    mode: Literal["any", "all"] = "any"
    hint: Literal["number", "integer", "expression", "set", "interval", "choice", "text"] | None = None
    choices: dict[str, str] = Field(default_factory=dict)
    integers: list[str] = Field(default_factory=list)


class MathOptions(Options):
    """What a caller may choose; the rest is the profile's.

    The fields are those of the engine's ``Policy``; ``joined_boxes = false`` takes the last box alone.
    """

    profile: str = "default"
    tolerance: float | None = Field(None, ge=0, allow_inf_nan=False)
    gold_precision: bool | None = None
    units: Literal["drop", "require", "ignore"] | None = None
    percent: bool | None = None
    ordered_lists: bool | None = None
    reduced: bool | None = None
    arithmetic: bool | None = None
    operators: bool | None = None
    joined_boxes: bool | None = None
    hedges: bool | None = None

    @field_validator("profile")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROFILES:
            raise ValueError(f"there is no profile {name!r}; there are {', '.join(PROFILES)}")
        return name

    def policy(self) -> Policy:
        """The profile, changed by the options."""
        chosen = self.model_dump(exclude={"profile"}, exclude_none=True)
        profile = PROFILES[self.profile]
        return replace(profile, **chosen) if chosen else profile


@verifier("math", version=VERSION, limits=ItemLimits(cpu_s=20.0, wall_s=90.0))
def math(rollout: Rollout, ref: Answer, options: MathOptions) -> Score | Fault:
    """Whether the final answer equals the reference, exactly and explainably.

    Source: what counts as equal is defined in docs/verifiers/math.md; labels and other graders' readings are beside
    its cases.
    """
    answers = tuple(map(str, ref.answer if isinstance(ref.answer, list) else [ref.answer]))
    integers = tuple(sorted({*ref.integers, *integers_in(rollout.prompt)}))
    gold = Gold(answers, ref.mode, ref.hint, tuple(sorted(ref.choices.items())), integers)
    return _score(judge(rollout.response, gold, options.policy(), marks=rollout.reasoning_marks))


def _score(judgement: Judgement) -> Score | Fault:
    if judgement.outcome is Outcome.GOLD_INVALID:
        return Fault(Party.DATASET, "invalid_reference", f"reference.answer: {judgement.reason}")
    if judgement.outcome is Outcome.UNDECIDED:
        return Fault(Party.SERVICE, "undecided", judgement.reason, retryable=True)
    value = None if judgement.outcome in (Outcome.NO_ANSWER, Outcome.LIMIT) else float(judgement.correct)
    return Score(value, code=_CODES[judgement.outcome], note=judgement.reason, evidence=judgement.to_json())
