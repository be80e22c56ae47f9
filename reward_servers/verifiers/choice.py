"""Reads which of several choices a response states and compares it with the right one."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from pydantic import Field, field_validator, model_validator

from reward_servers import Cost, DatasetError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.text import stated_choice, visible


class ChoiceReference(Reference):
    """The right choice and, when they are known, the texts of all choices.

    Attributes:
        answer: Label of the right choice, or its text.
        choices: Texts by label, or in the order of labels A, B, C and so on.
    """

    answer: str
    choices: dict[str, str] = Field(default_factory=dict)

    @field_validator("choices", mode="before")
    @classmethod
    def _label(cls, value: Any) -> Any:
        if isinstance(value, list):
            if len(value) > len(ascii_uppercase):
                raise ValueError(f"at most {len(ascii_uppercase)} choices have letters")
            return dict(zip(ascii_uppercase, value, strict=False))
        if isinstance(value, dict):
            return {str(label).upper(): text for label, text in value.items()}
        return value

    @model_validator(mode="before")
    @classmethod
    def _take_index(cls, data: Any) -> Any:
        answer = data.get("answer") if isinstance(data, dict) else None
        if isinstance(answer, int) and not isinstance(answer, bool):
            if not 0 <= answer < len(ascii_uppercase):
                raise ValueError(f"answer: the index {answer} has no letter")
            return {**data, "answer": ascii_uppercase[answer]}
        return data

    @model_validator(mode="after")
    def _check(self) -> ChoiceReference:
        wrong = [label for label in self.choices if label not in ascii_uppercase or len(label) != 1]
        if wrong:
            raise ValueError(f"choices: labels are single letters, not {', '.join(map(repr, wrong))}")
        if self.label is None:
            raise ValueError(f"answer: {self.answer!r} is not one of the choices")
        return self

    @property
    def label(self) -> str | None:
        """The label of the right choice."""
        label = self.answer.strip().strip("()[]. ").upper()
        if len(label) == 1 and label in (self.choices or ascii_uppercase):
            return label
        labels = [key for key, text in self.choices.items() if text.strip() == self.answer.strip()]
        return labels[0] if len(labels) == 1 else None


class ChoiceOptions(Options):
    """How many choices there are when the reference does not list them."""

    count: int = Field(4, ge=2, le=26, description="Number of choices, from A on, for references without `choices`.")


# On the loop: only the end of a response is searched, with patterns that take linear time.
@verifier("choice", version="5", cost=Cost.TRIVIAL, limits=ItemLimits(response_bytes=1 << 19))
async def choice(rollout: Rollout, ref: ChoiceReference, options: ChoiceOptions) -> Score:
    """Whether the choice that the response states is the right one.

    Source: multiple choice as in MMLU (arXiv 2009.03300) and MMLU-Pro (arXiv 2406.01574); the forms in which a
    choice is stated are ours.
    """
    choices = ref.choices or dict.fromkeys(ascii_uppercase[: options.count], "")
    if ref.label not in choices:
        raise DatasetError(f"reference.answer: {ref.answer!r} is beyond the {options.count} choices of option `count`")
    statement = stated_choice(visible(rollout.response, rollout.reasoning_marks).text, choices)
    evidence = {"statement": statement.quote, "stated": statement.label, "answer": ref.label}
    if statement.label is None:
        code = "ambiguous" if statement.status == "ambiguous" else "no_answer"
        return Score.floor(code, "the response states no single choice", evidence)
    return Score(float(statement.label == ref.label), evidence=evidence)
