"""Translations, by the character n-grams that they share with reference translations."""

from __future__ import annotations

from functools import lru_cache

from pydantic import Field
from sacrebleu.metrics.chrf import CHRF

from reward_servers import ItemLimits, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken


class ChrfOptions(AnswerOptions):
    """Orders of n-grams, and the weight of recall."""

    char_order: int = Field(6, ge=1, le=6, description="Longest n-gram of characters.")
    word_order: int = Field(0, ge=0, le=2, description="Longest n-gram of words: 0 is chrF, 2 is chrF++.")
    beta: int = Field(2, ge=1, le=3, description="How many times more recall weighs than precision.")
    lowercase: bool = Field(False, description="Whether upper and lower case are the same.")


@lru_cache(maxsize=64)
def _metric(options: ChrfOptions) -> CHRF:
    return CHRF(
        char_order=options.char_order,
        word_order=options.word_order,
        beta=options.beta,
        lowercase=options.lowercase,
        eps_smoothing=False,
    )


@verifier("chrf", version="1", limits=ItemLimits(response_bytes=1 << 19), libraries=("sacrebleu",))
def chrf(rollout: Rollout, ref: TextReference, options: ChrfOptions) -> Score:
    """Sentence chrF or chrF++ of a translation against the nearest reference, as sacreBLEU computes it.

    Source: chrF (Popovic, WMT 2015), chrF++ (WMT 2017), with sacreBLEU's orders and weights.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    return Score(min(1.0, _metric(options).sentence_score(answer, list(ref.answers)).score / 100))
