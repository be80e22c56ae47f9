"""The part of a response that is its answer, and references that accept one answer or several."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from reward_servers import Options, Reference, Rollout, Score
from reward_servers.engines.text import TAG_NAME, boxed, last_line, tagged, visible

_SEARCHED = 16_384

Answer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class TextReference(Reference):
    """One accepted answer, or several; numbers are read as they are written."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: Answer | Annotated[tuple[Answer, ...], Field(min_length=1)]

    @field_validator("answer", mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        answers = value if isinstance(value, list | tuple) else [value]
        if not answers or not all(
            isinstance(answer, str | int | float) and not isinstance(answer, bool) for answer in answers
        ):
            raise ValueError("expected a text, a number, or a list of these that is not empty")
        return value

    @property
    def answers(self) -> tuple[str, ...]:
        """The accepted answers."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer


class AnswerOptions(Options):
    """Which part of a response is its answer."""

    take: Literal["all", "last_line", "tag", "boxed"] = Field(
        "all", description="Part that is compared: the visible response, its last line, the last <tag> or the last box."
    )
    tag: str = Field("answer", pattern=TAG_NAME, description="Name of the tag for take = 'tag'.")


def answer_part(rollout: Rollout, options: AnswerOptions) -> str | None:
    """The part of the visible text that the options name; None where there is none, or where it is blank.

    Tags and boxes are looked for in the last 16,384 characters.
    """
    part = _part(visible(rollout.response, rollout.reasoning_marks).text, options)
    return part if part is not None and part.strip() else None


def nothing_taken(options: AnswerOptions) -> Score:
    """The floor of a response without that part."""
    return Score.floor("no_answer", f"nothing to compare (take = {options.take})")


def _part(text: str, options: AnswerOptions) -> str | None:
    if options.take == "all":
        return text
    if options.take == "last_line":
        return last_line(text)
    text = text[-_SEARCHED:]
    outcome = tagged(text, options.tag) if options.take == "tag" else boxed(text)
    return outcome[-1] if outcome else None
