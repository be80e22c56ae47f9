"""The order in which a response puts documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, field_validator

from reward_servers import ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines import retrieval as metrics
from reward_servers.verifiers._answers import AnswerOptions, answer_part

_SEPARATORS = re.compile(r"\s*(?:>|,|;|\n)\s*")
_NUMBERING = re.compile(r"^\s*(?:\d+[.)]\s+|[-*]\s+)")
_MOST = 10_000
_SHOWN = 50


class RankingReference(Reference):
    """How relevant each document is."""

    relevance: dict[str, float] = Field(
        description="Grade of each document by its id; 0, or not named, is not relevant."
    )

    @field_validator("relevance")
    @classmethod
    def _check(cls, value: dict[str, float]) -> dict[str, float]:
        if not any(grade > 0 for grade in value.values()):
            raise ValueError("no document is relevant, so any order is as good")
        if min(value.values()) < 0:
            raise ValueError("grades are at least 0")
        return value


class RankingOptions(AnswerOptions):
    """Which metric is the score, and how deep it looks."""

    metric: Literal["ndcg", "mrr", "map", "recall", "precision"] = Field(
        "ndcg", description="The score; the others are aspects."
    )
    k: int = Field(10, ge=1, le=1000, description="Places that count.")
    gain: Literal["exponential", "linear"] = Field(
        "exponential", description="Gain of nDCG: 2^grade - 1, or the grade itself."
    )


def _order(answer: str) -> list[str] | None:
    """Ids in their order: a JSON list, or ids between ``>``, commas or line ends, in brackets or not."""
    text = answer.strip()
    if text.startswith("[") and text.endswith("]") and ">" not in text:
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        if isinstance(decoded, list):
            plain = all(isinstance(item, str | int) and not isinstance(item, bool) for item in decoded)
            return [str(item) for item in decoded] or None if plain else None
    pieces = [_NUMBERING.sub("", piece).strip().strip("[]").strip() for piece in _SEPARATORS.split(text)]
    return [piece for piece in pieces if piece] or None


@verifier(
    "ranking",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("ndcg", "mrr", "map", "recall", "precision", "listed", "unknown"), 0.0),
)
def ranking(rollout: Rollout, ref: RankingReference, options: RankingOptions) -> Score:
    """How well the response orders documents: nDCG, MRR, MAP, recall or precision at k.

    Sources: nDCG of Järvelin and Kekäläinen (TOIS 2002) with the gain of Burges et al. (ICML 2005); MAP at k is over as
    many documents as could stand among the first k. Each agrees with scikit-learn.
    """
    answer = answer_part(rollout, options)
    order = _order(answer) if answer is not None else None
    if order is None:
        return Score.floor("no_answer", "no list of ids")
    if len(order) > _MOST:
        return Score.floor("limit", f"{len(order)} ids")
    first = list(dict.fromkeys(order))
    figures = _metrics(first, ref.relevance, options)
    unknown = sum(name not in ref.relevance for name in first)
    aspects = {**figures, "listed": float(len(first)), "unknown": float(unknown)}
    return Score(figures[options.metric], aspects=aspects, evidence={"order": first[:_SHOWN]})


def _metrics(order: Sequence[str], relevance: Mapping[str, float], options: RankingOptions) -> dict[str, float]:
    grades = [relevance.get(name, 0.0) for name in order]
    best = list(relevance.values())
    return {
        "ndcg": metrics.ndcg(grades, best, options.k, options.gain == "exponential"),
        "mrr": metrics.reciprocal_rank(grades, options.k),
        "map": metrics.average_precision(grades, best, options.k),
        "recall": metrics.recall(grades, best, options.k),
        "precision": metrics.precision(grades, options.k),
    }
