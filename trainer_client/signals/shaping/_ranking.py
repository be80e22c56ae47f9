"""Arithmetic of ranked lists: gains, recall, and the distance of two score distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats, require_finite
from trainer_client.signals._errors import BadInput


class RankingScore(NamedTuple):
    """A ranking against its gold standard.

    Attributes:
        ndcg: NDCG among the first k, with gain ``2^rel - 1``; 0 where nothing is relevant.
        recall: share of the relevant documents among the first k; 0 where nothing is relevant.
        divergence: Jensen-Shannon divergence of the two score distributions, in bits (0 to 1).
        reward: ``ndcg + gamma * recall + alignment * (1 - divergence)``.
    """

    ndcg: float
    recall: float
    divergence: float
    reward: float


def ranking_score(
    predicted: Sequence[float], gold: Sequence[float], *, k: int = 10, gamma: float = 0.2, alignment: float = 0.1
) -> RankingScore:
    """GroupRank's reward of the scores given to one query's documents.

    Equal predicted scores keep the order of the documents.

    Args:
        predicted: score of each document; 0 for one that the answer leaves out.
        gold: relevance of each document, at least 0.
        k: depth of NDCG and recall.
        gamma: weight of recall.
        alignment: weight of agreeing in distribution.

    Raises:
        BadInput: lengths differ, or a score is negative or not finite.

    Source: GroupRank (arXiv 2511.11653) eq. 4 to 6. Base 2, the gain, the ties, and scores turned into
    distributions by their sum are choices of ours: the paper does not state them.
    """
    ours, true = as_floats("predicted_scores", predicted, 1), as_floats("gold_scores", gold, 1)
    if ours.size != true.size:
        raise BadInput(f"predicted_scores: {ours.size} scores for {true.size} documents; give one for each")
    for name, scores in (("predicted_scores", ours), ("gold_scores", true)):
        require_finite(name, scores)
        if bool((scores < 0).any()):
            raise BadInput(f"{name}: {scores.min()} is negative; scores start at 0")
    parts = ranking_scores(ours[None], true[None], k=k, gamma=gamma, alignment=alignment)
    return RankingScore(*(float(part[0]) for part in parts))


def ranking_scores(
    predicted: FloatArray, gold: FloatArray, *, k: int = 10, gamma: float = 0.2, alignment: float = 0.1
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The fields of `ranking_score`, each ``[M]``, for many queries with equally many documents.

    Args:
        predicted: ``[M, D]`` scores, finite and at least 0.
        gold: ``[M, D]`` relevance, finite and at least 0.
        k: as in `ranking_score`, like the others.
        gamma: weight of recall.
        alignment: weight of agreeing in distribution.
    """
    ranked, ideal = (
        np.take_along_axis(gold, np.argsort(-by, axis=1, kind="stable")[:, :k], 1) for by in (predicted, gold)
    )
    discount = dcg_discounts(ranked.shape[1])
    best = ((2.0**ideal - 1.0) * discount).sum(1)
    ndcg = ((2.0**ranked - 1.0) * discount).sum(1) / np.where(best > 0, best, 1.0)
    recall = (ranked > 0).sum(1) / np.maximum((gold > 0).sum(1), 1)
    p, q = _distribution(predicted), _distribution(gold)
    middle = (p + q) / 2
    divergence: FloatArray = (_kl_bits(p, middle) + _kl_bits(q, middle)) / 2
    return ndcg, recall, divergence, ndcg + gamma * recall + alignment * (1.0 - divergence)


def fused_labels(point_ranks: ArrayLike, list_ranks: ArrayLike, *, beta: float = 0.5) -> FloatArray:
    """Pseudo-relevance of documents from two rankers: ``-beta * ln point - (1 - beta) * ln list``, ranks from 1.

    Raises:
        BadInput: a rank is below 1.

    Source: GroupRank (arXiv 2511.11653) eq. 2.
    """
    point, listed = as_floats("point_ranks", point_ranks), as_floats("list_ranks", list_ranks)
    if bool((point < 1).any() or (listed < 1).any()):
        raise BadInput("ranks: a rank is below 1; the best document has rank 1")
    return -beta * np.log(point) - (1.0 - beta) * np.log(listed)


def dcg_discounts(items: int) -> FloatArray:
    """``[I]`` 1 for the first item, ``1 / log2(j + 2)`` for item ``j`` from 0."""
    return np.asarray(1.0 / np.log2(np.arange(items) + 2.0))


def gain_to_go(hits: FloatArray) -> FloatArray:
    """``[N, I]`` discounted gain of an item and all after it, so that no item is credited with earlier hits.

    Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/reward_funcs.py @0808d82c.
    """
    gains = hits * dcg_discounts(hits.shape[1])
    result: FloatArray = gains[:, ::-1].cumsum(1)[:, ::-1]
    return result


def _distribution(scores: FloatArray) -> FloatArray:
    """Scores over their sum, row by row; even where that is 0."""
    total = scores.sum(1, keepdims=True)
    return np.where(total > 0, scores / np.where(total > 0, total, 1.0), 1.0 / max(scores.shape[1], 1))


def _kl_bits(p: FloatArray, q: FloatArray) -> FloatArray:
    some = p > 0
    ratio = np.log2(np.where(some, p, 1.0) / np.where(some, q, 1.0))
    divergence: FloatArray = (p * ratio).sum(1)
    return divergence
