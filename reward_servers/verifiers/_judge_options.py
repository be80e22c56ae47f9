"""What a recipe chooses for the judge, directly or through a verifier that asks it, and what a data set gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from reward_servers import Options, Reference
from reward_servers.core._schemas import explain
from reward_servers.engines.judging import LETTERS, REPLY_FORMATS, Protocol

PROTOCOLS: Mapping[str, Protocol] = {
    "binary": Protocol.BINARY,
    "equivalence": Protocol.EQUIVALENCE,
    "pairwise": Protocol.PAIRWISE,
    "arena": Protocol.ARENA,
    "best_of": Protocol.BEST,
    "grade": Protocol.GRADE,
    "rubric": Protocol.RUBRIC,
    "steps": Protocol.RUBRIC,
}
_COMPARES = ("pairwise", "arena", "best_of")
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Compared(BaseModel):
    """A response beside which another one is judged.

    Attributes:
        text: The part of its text that the judge sees.
        images: Its pictures, each the base64 of a file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    images: tuple[Base64Bytes, ...] = ()


class JudgeReference(Reference):
    """What a judge may be shown beside prompt and response.

    Attributes:
        answer: The reference answer.
        opponent: The other response, where two are compared: its text, or text and pictures.
        opponents: The other responses, where the best of several is chosen.
    """

    answer: Any = None
    opponent: str | Compared | None = None
    opponents: tuple[str | Compared, ...] = Field((), max_length=len(LETTERS) - 1)

    def others(self, protocol: str) -> tuple[Compared, ...]:
        """The other responses that a protocol compares with."""
        opponents = self.opponents if protocol == "best_of" else () if self.opponent is None else (self.opponent,)
        return tuple(Compared(text=response) if isinstance(response, str) else response for response in opponents)


class JudgingOptions(Options):
    """How the judge is asked: the same choices for itself, and for every verifier that asks it."""

    model: str = Field("", description="Which of the judge's models is asked; empty for one drawn by the item's seed.")
    template: str = Field("", description="Which of the operator's templates asks; empty for our own words.")
    reply: str = Field(
        "",
        description="Form of the reply of a model that was trained as a judge: " + ", ".join(REPLY_FORMATS) + ".",
    )
    show_reference: bool = Field(True, description="Whether the judge sees the reference answer.")
    trust_prompt: bool = Field(
        True,
        description="Whether the prompt is trusted; false where it holds documents of others, whose verdicts are none.",
    )
    show_transcript: bool = Field(False, description="Whether it sees all turns and tool calls, or the last answer.")
    show_reasoning: bool = Field(False, description="Whether it sees reasoning, or only what is visible.")
    show_images: bool = Field(True, description="Whether it sees the pictures of prompt and response.")
    min_mass: float = Field(
        0.5, ge=0, le=1, description="What the probabilities of the verdicts must reach together, where they are known."
    )
    max_reasks: int = Field(2, ge=0, le=5, description="How often an unusable reply is asked again.")
    on_provoked: Literal["floor", "fault"] = Field(
        "floor", description="What a failure of the judge that the response provably caused is: the floor, or a fault."
    )

    def for_judge(self) -> dict[str, Any]:
        """These choices, as options of the judge."""
        return self.model_dump(include=set(JudgingOptions.model_fields))

    def misfit(self, protocol: str) -> str:
        """What is wrong with the form of the reply in a protocol; empty when nothing is."""
        if self.reply and self.reply not in REPLY_FORMATS:
            return f"reply: {self.reply} is not one of {', '.join(REPLY_FORMATS)}"
        if self.reply and protocol not in REPLY_FORMATS[self.reply]:
            return f"reply: {self.reply} answers in the protocols {', '.join(REPLY_FORMATS[self.reply])}"
        if self.reply and not self.template:
            return "reply: it needs a template with the words of the model's card"
        return ""


class WeighingOptions(JudgingOptions):
    """Options for verdicts whose probabilities may be weighed."""

    expected: bool = Field(
        False, description="The mean over the verdicts' probabilities, at the place where the verdict stands."
    )

    def for_judge(self) -> dict[str, Any]:
        """These choices, as options of the judge."""
        return {**super().for_judge(), "expected": self.expected}

    def misfit(self, protocol: str) -> str:
        """What is wrong with the form of the reply in a protocol; empty when nothing is."""
        if self.reply and self.expected:
            return "expected: a reply in a model's own form has no expected score"
        return super().misfit(protocol)


class JudgeOptions(WeighingOptions):
    """The question to the judge, and the form of its reply."""

    protocol: str = Field(
        "binary",
        description="binary, equivalence, grade, likert_LOW_HIGH, ratings_LOW_HIGH, rubric, steps, pairwise, arena, "
        "best_of; such as likert_1_10.",
    )
    criteria: str = Field("", description="What to judge by; empty for a sentence that fits the protocol.")
    dimensions: dict[Key, str] = Field(
        default_factory=dict, max_length=32, description="For ratings and rubric: what is judged in one call, by name."
    )
    weights: dict[Key, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=32, description="Of the dimensions by name; 1 for those that are not named."
    )
    grades: dict[Key, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, max_length=32, description="For grade: the offered words, and the score of each."
    )
    steps: Literal["paragraphs", "lines"] = Field("paragraphs", description="What a step of the response is.")
    step_score: Literal["share", "all", "until_wrong"] = Field(
        "share",
        description="Score of a response from its steps: the share of right ones, whether all are, or the share before "
        "the first wrong one.",
    )
    place: int = Field(0, ge=0, lt=len(LETTERS), description="Place of this rollout among those that are compared.")
    reference_last: bool = Field(False, description="Whether the reference stands behind the response.")
    arguments: bool = Field(
        False, description="The judge first argues for and against the response, then decides with both in view, twice."
    )
    sample: int = Field(0, ge=0, le=1023, description="Another number asks once more, with other tokens and seeds.")

    @property
    def form(self) -> Protocol:
        """The form of the verdict."""
        return PROTOCOLS[self.protocol] if self.protocol in PROTOCOLS else Protocol(self.protocol)

    @property
    def compares(self) -> bool:
        """Whether this rollout is judged beside others."""
        return self.protocol in _COMPARES

    @model_validator(mode="after")
    def _check(self) -> JudgeOptions:
        scaled = self.protocol.startswith(("likert_", "ratings_"))
        try:
            is_known = self.protocol in PROTOCOLS or (scaled and self.form.scale is not None)
        except ValueError:
            is_known = False
        if not is_known:
            raise ValueError(
                f"protocol {self.protocol!r} is not one of {', '.join(PROTOCOLS)}, likert_LOW_HIGH, ratings_LOW_HIGH "
                "with 0 <= LOW < HIGH <= 100, such as likert_1_10"
            )
        keyed = self.form.keyed and self.protocol != "steps"
        problem = ""
        if keyed != bool(self.dimensions):
            problem = "dimensions are for ratings and rubric, which need them: name each and say what it means"
        elif (self.protocol == "grade") != bool(self.grades):
            problem = "grades are for the protocol grade, which needs them: each word with its score"
        elif self.protocol == "grade" and len(self.grades) < 2:
            problem = "grades: offer at least two words"
        elif unknown := sorted(set(self.weights) - set(self.dimensions)):
            problem = f"weights: {unknown[0]} is not one of the dimensions"
        elif self.dimensions and not any(self.weight(name) for name in self.dimensions):
            problem = "weights: none is positive"
        elif self.place and not self.compares:
            problem = f"place is for protocols that compare: {', '.join(_COMPARES)}"
        elif self.expected and (self.form.keyed or self.protocol == "best_of"):
            problem = "expected is for protocols with one verdict: binary, equivalence, grade, likert, pairwise, arena"
        elif misfit := self.misfit(self.protocol):
            problem = misfit
        elif self.arguments and (self.form.keyed or self.compares or self.template):
            problem = "arguments are for binary, equivalence, grade and likert, in our own words"
        if problem:
            raise ValueError(problem)
        return self

    def weight(self, name: str) -> float:
        """Weight of a dimension."""
        return self.weights.get(name, 1.0)


def check_asked(options: Mapping[str, Any]) -> None:
    """Check options that a verifier passes on to the judge.

    Raises:
        ValueError: The judge would refuse them; names the option.
    """
    try:
        JudgeOptions.model_validate_json(json.dumps(dict(options)))
    except ValidationError as error:
        raise ValueError(explain(error, "ask", JudgeOptions)) from None
