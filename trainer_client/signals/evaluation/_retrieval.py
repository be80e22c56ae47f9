"""Retrieval, and answers that rest on it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadInput


def retrieval_metrics(ranking: Sequence[Hashable], relevant: Iterable[Hashable], *, k: int = 10) -> dict[str, float]:
    """Recall, reciprocal rank and NDCG of the first ``k`` documents; relevance is yes or no.

    Raises:
        BadInput: nothing is relevant, which leaves recall undefined, or ``k`` is below 1.
    """
    wanted = set(relevant)
    if not wanted or k < 1:
        raise BadInput(f"relevant: {len(wanted)} documents and k = {k}; both have to be at least 1")
    hit = np.array([document in wanted for document in ranking[:k]], dtype=np.float64)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    first = np.flatnonzero(hit)
    return {
        "recall": float(len(wanted.intersection(ranking[:k]))) / len(wanted),
        "mrr": 1.0 / (1 + int(first[0])) if first.size else 0.0,
        "ndcg": float((hit * discount[: hit.size]).sum() / discount[: min(k, len(wanted))].sum()),
    }


def faithfulness(supported: Sequence[bool]) -> float | None:
    """Share of an answer's claims that the evidence supports; None for an answer without claims."""
    return float(np.mean(supported)) if len(supported) else None


def answer_relevance(question: FloatArray, regenerated: FloatArray) -> float | None:
    """Mean cosine of the question and the questions that a model makes of the answer; None without any.

    Args:
        question: ``[H]`` embedding.
        regenerated: ``[M, H]`` embeddings.

    Source: RAGAS (arXiv 2309.15217).
    """
    if not len(regenerated):
        return None
    lengths = np.linalg.norm(regenerated, axis=1) * np.linalg.norm(question)
    return float((regenerated @ question / np.where(lengths > 0, lengths, 1.0)).mean())
