"""GroupRank: A Groupwise Reranking Paradigm Driven by RL.

GroupRank (arXiv 2511.11653) eq. 4 to 6; base, gain, ties and normalisation are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Input,
    InputError,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    golden,
    register,
    require_finite,
)
from trainer_client.signals.parts.lists import dcg_discounts

PAPER = Paper("grouprank", __doc__, provenance="paper")

_PREDICTED_SCORES = Input(
    "predicted_scores",
    "N",
    "rows",
    "score of each document by a row; None where it cannot be read",
    examples=(None, [10, 0, 3], [2, 7, 7]),
)
_GOLD_SCORES = Input(
    "gold_scores", "N", "rows", "relevance of each document of a row's query", examples=([2, 0, 1], [0, 1, 1])
)


@register(
    "grouprank",
    paper=PAPER,
    needs="row",
    inputs=(_PREDICTED_SCORES, _GOLD_SCORES),
    optional=("answered",),
    formula="NDCG@k + gamma * Recall@k + alignment * (1 - JS); unreadable: -0.1; without the tags: -0.5",
)
def grouprank(
    batch: SignalBatch,
    *,
    k: int = 10,
    gamma: float = 0.2,
    alignment: float = 0.1,
    unreadable: float = -0.1,
    untagged: float = -0.5,
) -> Signal:
    """GroupRank: scores given to a query's documents, against their relevance.

    ``predicted_scores`` holds one score a document, 0 for one left out, and None where the answer cannot be read. A
    row not ``answered`` lacks the tags asked for.
    """
    answered = batch["answered"] if "answered" in batch else np.ones(batch.rows, np.bool_)
    predicted, gold = batch.objects("predicted_scores"), batch.objects("gold_scores")
    rewards = np.where(answered, unreadable, untagged)
    by_size: dict[int, list[int]] = {}
    for row in np.flatnonzero(batch.valid & answered).tolist():
        if predicted[row] is not None:
            if len(predicted[row]) != len(gold[row]):
                raise InputError(
                    f"predicted_scores: row {row} has {len(predicted[row])} for {len(gold[row])} documents; "
                    "give one for each"
                )
            by_size.setdefault(len(gold[row]), []).append(row)
    for rows in by_size.values():
        model_scores, true = (
            _scores_of(name, listed, rows) for name, listed in (("predicted_scores", predicted), ("gold_scores", gold))
        )
        rewards[rows] = ranking_scores(model_scores, true, k=k, gamma=gamma, alignment=alignment)[-1]
    return batch.signal(rewards=np.where(batch.valid, rewards, 0.0))


def _scores_of(name: str, listed: Sequence[Sequence[float]], rows: list[int]) -> FloatArray:
    """``[M, D]`` of some rows that hold equally many scores."""
    table = as_floats(name, [listed[row] for row in rows], 2)
    bad = np.argwhere(~(np.isfinite(table) & (table >= 0)))
    if bad.size:
        row, document = rows[bad[0][0]], bad[0][1]
        raise InputError(
            f"{name}: row {row}, document {document} holds {table[tuple(bad[0])]}; scores are finite, from 0"
        )
    return table


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
        InputError: lengths differ, or a score is negative or not finite.

    Source: GroupRank (arXiv 2511.11653) eq. 4 to 6. Base 2, the gain, the ties, and scores turned into
    distributions by their sum are choices of ours: the paper does not state them.
    """
    predicted_scores, true = as_floats("predicted_scores", predicted, 1), as_floats("gold_scores", gold, 1)
    if predicted_scores.size != true.size:
        raise InputError(
            f"predicted_scores: {predicted_scores.size} scores for {true.size} documents; give one for each"
        )
    for name, scores in (("predicted_scores", predicted_scores), ("gold_scores", true)):
        require_finite(name, scores)
        if bool((scores < 0).any()):
            raise InputError(f"{name}: {scores.min()} is negative; scores start at 0")
    parts = ranking_scores(predicted_scores[None], true[None], k=k, gamma=gamma, alignment=alignment)
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
        InputError: a rank is below 1.

    Source: GroupRank (arXiv 2511.11653) eq. 2.
    """
    point, listed = as_floats("point_ranks", point_ranks), as_floats("list_ranks", list_ranks)
    if bool((point < 1).any() or (listed < 1).any()):
        raise InputError("ranks: a rank is below 1; the best document has rank 1")
    return -beta * np.log(point) - (1.0 - beta) * np.log(listed)


def _distribution(scores: FloatArray) -> FloatArray:
    """Scores over their sum, row by row; even where that is 0."""
    total = scores.sum(1, keepdims=True)
    return np.where(total > 0, scores / np.where(total > 0, total, 1.0), 1.0 / max(scores.shape[1], 1))


def _kl_bits(p: FloatArray, q: FloatArray) -> FloatArray:
    some = p > 0
    ratio = np.log2(np.where(some, p, 1.0) / np.where(some, q, 1.0))
    divergence: FloatArray = (p * ratio).sum(1)
    return divergence


@golden("group_ranking_reward")
def _(case: Case) -> Any:
    predicted, gold = case.inputs["predicted_scores"], case.inputs["gold_scores"]
    score = ranking_score(
        predicted, gold, k=case.params["k"], gamma=case.params["gamma"], alignment=case.params["eps_align"]
    )
    return {"ndcg": score.ndcg, "recall": score.recall, "js": score.divergence, "reward": score.reward}
