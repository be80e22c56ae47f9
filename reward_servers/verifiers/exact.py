"""Compares the response, or a named part of it, with the reference's answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from reward_servers import Cost, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.text import TAG_NAME, Form, boxed, last_line, tagged, visible

__all__ = ["ExactOptions", "ExactReference", "exact"]

_LONGEST = 65_536
_SEARCHED = 16_384
_SHOWN = 1_000

Answer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ExactReference(Reference):
    """One accepted answer, or several; numbers are read as they are written."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: Answer | Annotated[tuple[Answer, ...], Field(min_length=1)]

    @field_validator("answer", mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        given = value if isinstance(value, list | tuple) else [value]
        if not given or not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in given):
            raise ValueError("expected a text, a number, or a list of these that is not empty")
        return value

    @property
    def answers(self) -> tuple[str, ...]:
        """The accepted answers."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer


class ExactOptions(Options):
    """What is compared, and which differences count."""

    take: Literal["all", "last_line", "tag", "boxed"] = Field(
        "all", description="Part that is compared: the visible response, its last line, the last <tag> or the last box."
    )
    tag: str = Field("answer", pattern=TAG_NAME, description="Name of the tag for take = 'tag'.")
    case: bool = Field(False, description="Whether upper and lower case differ.")
    whitespace: Literal["keep", "collapse", "remove"] = "collapse"
    punctuation: bool = Field(True, description="Whether punctuation counts.")
    compatibility: bool = Field(False, description="Whether Unicode compatibility characters differ (full-width, ...).")

    @property
    def form(self) -> Form:
        """The form in which texts are compared."""
        return Form(self.case, self.whitespace, self.punctuation, self.compatibility)


def _taken(rollout: Rollout, options: ExactOptions) -> str | None:
    text = visible(rollout.response, rollout.reasoning_marks).text
    if options.take == "all":
        return text
    if options.take == "last_line":
        return last_line(text)
    text = text[-_SEARCHED:]
    found = tagged(text, options.tag) if options.take == "tag" else boxed(text)
    return found[-1] if found else None


# On the loop: a comparison takes microseconds. What could take longer is bounded before it is read.
@verifier("exact", version="2", cost=Cost.TRIVIAL, limits=ItemLimits(response=1 << 19))
async def exact(rollout: Rollout, ref: ExactReference, options: ExactOptions) -> Score:
    """Whether the response, or a named part of it, equals a reference answer."""
    taken = _taken(rollout, options)
    if taken is None or not taken.strip():
        return Score.floor("no_answer", f"nothing to compare (take = {options.take})")
    if len(taken) > max(_LONGEST, 8 * max(map(len, ref.answers))):
        return Score.floor("limit", f"the answer has {len(taken)} characters")
    form = options.form
    compared = form.of(taken)
    equal = any(form.of(answer) == compared for answer in ref.answers)
    return Score(float(equal), evidence={"compared": compared[:_SHOWN], "answers": ref.answers})
