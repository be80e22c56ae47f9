"""Transcripts, by the edits that turn them into the reference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Rollout, Score, verifier
from reward_servers.engines import similarity
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken


class WerOptions(AnswerOptions):
    """The unit that is counted, and which differences are ignored."""

    unit: Literal["word", "character"] = Field("word", description="Word error rate, or character error rate.")
    normalise: bool = Field(True, description="Whether case and punctuation make no difference.")


def _pieces(text: str, options: WerOptions) -> list[str]:
    if options.normalise:
        words = similarity.words(text)
        return words if options.unit == "word" else list(" ".join(words))
    return text.split() if options.unit == "word" else list(" ".join(text.split()))


@verifier(
    "wer", version="1", limits=ItemLimits(response_bytes=1 << 19), aspects={"error_rate": 1.0}, libraries=("rapidfuzz",)
)
def wer(rollout: Rollout, ref: TextReference, options: WerOptions) -> Score:
    """One less the word or character error rate against the nearest reference; 0 from one edit for each piece on.

    The rates are those of the package jiwer where `normalise` is off; what it leaves out is our own definition.

    Source: the edit distance of Levenshtein (1966) over words, as the NIST scoring toolkit divides it.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    references = [_pieces(text, options) for text in ref.answers]
    if not all(references):
        raise DatasetError("reference.answer: a text has no words")
    pieces = _pieces(answer, options)
    rate = min(similarity.error_rate(pieces, reference) for reference in references)
    return Score(max(0.0, 1.0 - rate), aspects={"error_rate": rate})
