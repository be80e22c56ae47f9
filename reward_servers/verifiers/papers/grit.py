"""Reasoning that points at regions of an image (GRIT)."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from reward_servers import CallerError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines import published
from reward_servers.engines.text import visible


class GritReference(Reference):
    """The right answer, and for a task of counting how many there are."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: str = Field(min_length=1)
    count: int | None = Field(None, ge=0, description="Right number, for a task of counting.")


class GritOptions(Options):
    """Which terms are added."""

    repeats: bool = Field(False, description="Whether repeated n-grams cost: needs the rollout's token_ids.")
    padding: int | None = Field(None, description="Token id at which a response ends.")


@verifier(
    "grit",
    version="2",
    score_range=(-1.0, 4.0),
    floor=0.0,
    limits=ItemLimits(response_bytes=1 << 17),
    aspects=dict.fromkeys(("answer_tag", "reasoning_tags", "grounded_boxes", "answer_bleu"), 0.0),
)
def grit(rollout: Rollout, ref: GritReference, options: GritOptions) -> Score:
    """Sum of GRIT's rules: answer tag, reasoning tags, boxes before `<rethink>`, BLEU-1 of the answer.

    An answer counts in the visible text alone, as for every verifier; the other rules are about the reasoning. The
    judge's share of the published reward is the `judge` verifier beside it. Source: eric-ai-lab/GRIT grpo-
    gr/rewards.py @44699c9b.
    """
    text = rollout.response
    if not text.strip():
        more = {"without_repeats": 0.0} if options.repeats else {}
        return Score(None, "no_answer", aspects=more, note="the response is empty")
    visible_text = visible(text, rollout.reasoning_marks).text
    parts = {
        "answer_tag": published.answer_tag(visible_text),
        "reasoning_tags": published.reasoning_tags(text),
        "grounded_boxes": published.grounded_boxes(text, count=ref.count),
        "answer_bleu": published.answer_bleu(visible_text, ref.answer),
    }
    if options.repeats:
        if not rollout.token_ids:
            raise CallerError("option 'repeats' compares the rollout's token_ids; send them", code="missing_token_ids")
        parts["without_repeats"] = published.without_repeats(text, rollout.token_ids, padding=options.padding)
    return Score(sum(parts.values()), "accepted", aspects=parts)
