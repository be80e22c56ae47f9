"""A span of time that a response names (TempSamp-R1 and other work on videos)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from reward_servers import ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.published import read_span, temporal_iou
from reward_servers.verifiers._answers import AnswerOptions, answer_part


class TimeSpanReference(Reference):
    """The right span."""

    span: tuple[float, float] = Field(description="Start and end in seconds; `answer` is read as well.")

    @model_validator(mode="before")
    @classmethod
    def _take_answer(cls, data: Any) -> Any:
        if isinstance(data, dict) and "span" not in data and "answer" in data:
            return {**data, "span": data["answer"]}
        return data

    @model_validator(mode="after")
    def _check(self) -> TimeSpanReference:
        start, end = self.span
        if not 0 <= start < end < float("inf"):
            raise ValueError(f"span: a start at or after 0 and a later end, not {start:g} and {end:g}")
        return self


class TimeSpanOptions(AnswerOptions):
    """What the score is."""

    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Overlap from which on the score is 1, else 0; without it the score is the overlap.",
    )


@verifier(
    "time_span",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"iou": 0.0, "start_error": None, "end_error": None},
)
def time_span(rollout: Rollout, ref: TimeSpanReference, options: TimeSpanOptions) -> Score:
    """How far a named span of time overlaps the right one: intersection over union.

    Times are seconds, or minutes:seconds with hours in front. Source: TempSamp-R1 (arXiv 2509.18056).
    """
    answer = answer_part(rollout, options)
    span = read_span(answer) if answer is not None else None
    if span is None:
        return Score.floor("no_answer", "the answer does not name exactly two times")
    iou = temporal_iou(span, ref.span)
    value = iou if options.threshold is None else float(iou >= options.threshold)
    aspects = {"iou": iou, "start_error": span[0] - ref.span[0], "end_error": span[1] - ref.span[1]}
    return Score(value, aspects=aspects, evidence={"span": span, "right": ref.span})
