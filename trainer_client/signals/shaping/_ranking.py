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
    order = np.argsort(-ours, kind="stable")[:k]
    best = np.argsort(-true, kind="stable")[:k]
    discount = 1.0 / np.log2(np.arange(2, order.size + 2))
    ideal = float(((2.0 ** true[best] - 1) * discount).sum())
    ndcg = float(((2.0 ** true[order] - 1) * discount).sum()) / ideal if ideal > 0 else 0.0
    relevant = int((true > 0).sum())
    recall = float((true[order] > 0).sum()) / relevant if relevant else 0.0
    divergence = _jensen_shannon(_distribution(ours), _distribution(true))
    return RankingScore(ndcg, recall, divergence, ndcg + gamma * recall + alignment * (1.0 - divergence))


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
    total = float(scores.sum())
    return scores / total if total > 0 else np.full(scores.size, 1.0 / max(scores.size, 1))


def _jensen_shannon(p: FloatArray, q: FloatArray) -> float:
    middle = (p + q) / 2
    return float(_kl_bits(p, middle) + _kl_bits(q, middle)) / 2


def _kl_bits(p: FloatArray, q: FloatArray) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())
