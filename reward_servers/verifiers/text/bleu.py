"""Translations, by the n-grams that they share with reference translations."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field
from sacrebleu.metrics.bleu import BLEU, BLEUScore

from reward_servers import ItemLimits, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken


class BleuOptions(AnswerOptions):
    """How texts are cut into tokens, and how n-grams without a match are counted."""

    tokenize: Literal["13a", "intl", "zh", "char", "none"] = Field(
        "13a", description="Tokeniser of sacreBLEU: '13a' as in WMT, 'intl' for other scripts, 'zh' for Chinese."
    )
    lowercase: bool = Field(False, description="Whether upper and lower case are the same.")
    smooth: Literal["exp", "floor", "add-k", "none"] = Field(
        "exp", description="Smoothing of orders without a match; 'exp' is sacreBLEU's default."
    )
    max_order: int = Field(4, ge=1, le=4, description="Longest n-gram.")
    length_aware: bool = Field(
        False,
        description="Whether n-grams are no longer than the reference, so that a right answer of one word is judged by "
        "words alone; of several references the best counts.",
    )


@lru_cache(maxsize=64)
def _metric(options: BleuOptions, order: int) -> BLEU:
    return BLEU(
        lowercase=options.lowercase,
        tokenize=options.tokenize,
        smooth_method=options.smooth,
        max_ngram_order=order,
        effective_order=True,
    )


@verifier(
    "bleu",
    version="2",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("brevity_penalty", "length_ratio"), 0.0),
    libraries=("sacrebleu",),
)
def bleu(rollout: Rollout, ref: TextReference, options: BleuOptions) -> Score:
    """Sentence BLEU of a translation against all references, as sacreBLEU computes it, between 0 and 1.

    `length_aware` is the quality of short answers in PRS (arXiv 2512.07478), reconstructed from its abstract.

    Source: BLEU (Papineni et al., ACL 2002), with the tokens and smoothing of sacreBLEU (arXiv 1804.08771).
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    if options.length_aware:
        result = max(
            (_length_aware(answer, answer_words, options) for answer_words in ref.answers),
            key=lambda result: result.score,
        )
    else:
        result = _metric(options, options.max_order).sentence_score(answer, list(ref.answers))
    aspects = {"brevity_penalty": result.bp, "length_ratio": result.ratio}
    return Score(min(1.0, result.score / 100), aspects=aspects, evidence={"precisions": result.precisions})


def _length_aware(answer: str, reference: str, options: BleuOptions) -> BLEUScore:
    """BLEU with n-grams that are at most as long as the reference."""
    tokens = _metric(options, options.max_order).tokenizer(reference).split()
    return _metric(options, max(1, min(options.max_order, len(tokens)))).sentence_score(answer, [reference])
