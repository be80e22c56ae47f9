"""Relevance scores that a response gives to documents (GroupRank)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines import retrieval
from reward_servers.engines.text import check_tags, strict_json, tagged, visible
from reward_servers.verifiers.ranking.ranking import RankingReference

_NO_TAGS = -0.5
_NO_JSON = -0.1
_NOTHING = dict.fromkeys(("ndcg", "recall", "distribution"), 0.0)
_SHOWN = 50


class RelevanceOptions(Options):
    """Weights of the terms, and the depth."""

    k: int = Field(10, ge=1, description="Places that count for nDCG and recall.")
    recall_weight: float = Field(0.2, ge=0, le=1, description="Weight of recall at k.")
    distribution_weight: float = Field(
        0.1, ge=0, le=1, description="Weight of one less the Jensen-Shannon divergence of given and right scores."
    )
    reasoning_tag: str = Field("reason", description="Tag of the reasoning in front of <answer>.")


def _scores(answer: str) -> dict[str, float] | None:
    """Scores by document: a JSON object of numbers that are finite and not negative."""
    try:
        decoded = strict_json(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    numbers = [value for value in decoded.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    usable = len(numbers) == len(decoded) and all(0 <= value <= 1e6 for value in numbers)
    return {name: float(value) for name, value in decoded.items()} if usable else None


def _divergence(stated: Sequence[float], right: Sequence[float]) -> float:
    """Jensen-Shannon divergence, base 2, of two lists of scores as distributions; a list of zeros is uniform."""
    p, q = (_distribution(scores) for scores in (stated, right))
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (_divergence_from(p, middle) + _divergence_from(q, middle)) / 2


def _distribution(scores: Sequence[float]) -> list[float]:
    total = sum(scores)
    return [score / total for score in scores] if total > 0 else [1 / len(scores)] * len(scores)


def _divergence_from(p: Sequence[float], middle: Sequence[float]) -> float:
    return sum(a * math.log2(a / b) for a, b in zip(p, middle, strict=True) if a > 0)


@verifier(
    "relevance",
    version="2",
    score_range=(_NO_TAGS, 3.0),
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=_NOTHING,
)
def relevance(rollout: Rollout, ref: RankingReference, options: RelevanceOptions) -> Score:
    """Scores of documents as GroupRank rewards them: nDCG, recall and the distribution of the scores.

    Source: GroupRank (arXiv 2511.11653), equations 2 and 4 to 6: -0.5 without the tags, -0.1 without valid JSON,
    otherwise ``nDCG@10 + 0.2 Recall@10 + 0.1 (1 - JS)``. A document that is not scored counts as 0; one that does not
    exist is ignored; equal scores keep the order of the reference.
    """
    if not all(check_tags(rollout.response, (options.reasoning_tag, "answer")).values()):
        note = f"not <{options.reasoning_tag}> and then <answer>, and nothing else"
        return Score(_NO_TAGS, "malformed", aspects=_NOTHING, note=note)
    answers = tagged(visible(rollout.response, rollout.reasoning_marks).text, "answer")
    scores = _scores(answers[-1]) if answers else None
    if scores is None:
        return Score(_NO_JSON, "malformed", aspects=_NOTHING, note="the answer is no JSON object of scores")
    parts = _terms(scores, ref.relevance, options.k)
    value = (
        parts["ndcg"] + options.recall_weight * parts["recall"] + options.distribution_weight * parts["distribution"]
    )
    return Score(value, "accepted", aspects=parts, evidence={"scores": dict(list(scores.items())[:_SHOWN])})


def _terms(stated: Mapping[str, float], right: Mapping[str, float], k: int) -> dict[str, float]:
    names = list(right)
    order = sorted(names, key=lambda name: -stated.get(name, 0.0))
    grades = [right[name] for name in order]
    divergence = _divergence([stated.get(name, 0.0) for name in names], list(right.values()))
    return {
        "ndcg": retrieval.ndcg(grades, grades, k),
        "recall": retrieval.recall(grades, grades, k),
        "distribution": max(0.0, 1.0 - divergence),
    }
