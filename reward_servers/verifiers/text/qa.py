"""Short answers to questions, as SQuAD, Natural Questions and TriviaQA score them."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_TYPOGRAPHIC = frozenset("‘’´`")
_SHOWN = 1_000


class QaOptions(AnswerOptions):
    """Which metric is the score, and which normalisation is applied to texts."""

    metric: Literal["f1", "exact"] = Field("f1", description="The score; the other one is an aspect.")
    normal: Literal["squad", "triviaqa"] = Field(
        "squad", description="Normal form: SQuAD's, which Natural Questions shares, or TriviaQA's."
    )


def _normal(text: str, style: str) -> list[str]:
    """The words that are compared.

    Source: ``normalize_answer`` of the official scripts: evaluate-v2.0.py of SQuAD (lower case, no punctuation, no
    articles) and triviaqa_evaluation.py (the same, with underscores as spaces and typographic quotes as punctuation).
    """
    text = text.lower()
    if style == "triviaqa":
        text = "".join(" " if mark in _PUNCTUATION or mark in _TYPOGRAPHIC else mark for mark in text)
    else:
        text = "".join(mark for mark in text if mark not in _PUNCTUATION)
    return _ARTICLES.sub(" ", text).split()


def _compare(stated: list[str], right: list[str]) -> dict[str, float]:
    """Exact match, and precision, recall and F1 over words, as SQuAD defines them; nothing right is empty."""
    exact = float(stated == right)
    shared = sum((Counter(stated) & Counter(right)).values())
    precision, recall = shared / max(1, len(stated)), shared / len(right)
    f1 = 2 * precision * recall / (precision + recall) if shared else 0.0
    return {"exact": exact, "precision": precision, "recall": recall, "f1": f1}


@verifier(
    "qa",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("exact", "precision", "recall", "f1"), 0.0),
)
def qa(rollout: Rollout, ref: TextReference, options: QaOptions) -> Score:
    """How well a short answer agrees with the best of the accepted ones, by words (SQuAD, NQ, TriviaQA).

    Source: exact match and F1 of SQuAD (arXiv 1606.05250) and TriviaQA (arXiv 1705.03551), with the normalisation
    of their published evaluation scripts.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    accepted = {text: _normal(text, options.normal) for text in ref.answers}
    if empty := [text for text, words in accepted.items() if not words]:
        raise DatasetError(f"reference.answer: nothing is left of {empty[0]!r} without articles and punctuation")
    stated = _normal(answer, options.normal)
    compared = [(text, _compare(stated, words)) for text, words in accepted.items()]
    nearest, best = max(compared, key=lambda pair: pair[1][options.metric])
    return Score(best[options.metric], aspects=best, evidence={"compared": answer[:_SHOWN], "nearest": nearest})
