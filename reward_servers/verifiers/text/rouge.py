"""Summaries, by the words that they share with reference summaries."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Rollout, Score, verifier
from reward_servers.engines import similarity
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken


class RougeOptions(AnswerOptions):
    """Which of the three F-measures is the score."""

    metric: Literal["rouge1", "rouge2", "rougeL"] = Field("rougeL", description="The score; the others are aspects.")


@verifier(
    "rouge",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("rouge1", "rouge2", "rougeL"), 0.0),
    libraries=("rapidfuzz",),
)
def rouge(rollout: Rollout, ref: TextReference, options: RougeOptions) -> Score:
    """ROUGE-1, -2 or -L of a summary against the nearest reference: F-measure over words, without stemming.

    Source: ROUGE (Lin, ACL 2004), as the package rouge-score computes it.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    references = [similarity.words(text) for text in ref.answers]
    if not all(references):
        raise DatasetError("reference.answer: a text has no words")
    stated = similarity.words(answer)
    best = max(
        (similarity.rouge(stated, reference) for reference in references), key=lambda measures: measures[options.metric]
    )
    return Score(best[options.metric], aspects=best)
