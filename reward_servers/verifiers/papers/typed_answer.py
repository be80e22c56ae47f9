"""Accuracy by the type of an answer (GRPO-CARE, Video-R1)."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.published import AnswerType, typed_accuracy
from reward_servers.engines.text import visible


class TypedReference(Reference):
    """The right answer and its type."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: str = Field(min_length=1)
    kind: AnswerType = Field(description="How it is compared.")


@verifier("typed_answer", version="1", limits=ItemLimits(response_bytes=1 << 16), libraries=("rapidfuzz",))
def typed_answer(rollout: Rollout, ref: TypedReference) -> Score:
    """Accuracy of the text in `<answer>`: a choice, a number, a regression, a text read from an image, or free text.

    Source: TencentARC/GRPO-CARE src/r1-v/src/open_r1/grpo.py @b0628fcc.
    """
    text = visible(rollout.response, rollout.reasoning_marks).text
    if "<answer>" not in text:
        return Score.floor("no_answer", "no <answer>")
    try:
        return Score(typed_accuracy(text, ref.answer, ref.kind))
    except ValueError as error:
        raise DatasetError(f"reference.answer: {error}") from None
