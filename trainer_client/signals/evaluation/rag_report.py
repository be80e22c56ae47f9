"""Retrieval Improvements Do Not Guarantee Better Answers (RAG for AI policy QA).

Retrieval Improvements Do Not Guarantee Better Answers, abstract; RAGAS (arXiv 2309.15217) for the forms.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from trainer_client.signals.authoring import Input, InputError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.report import mean_or_none

PAPER = Paper("rag-policy", __doc__, provenance="abstract")

_ANSWERABLE = Input("answerable", "N", "bool", "the document that answers the prompt exists")
_CLAIMS = Input("claims", "N", "int", "claims that a row makes")
_SUPPORTED_CLAIMS = Input("supported_claims", "N", "int", "claims of a row that its evidence supports")


@register(
    "rag_report",
    paper=PAPER,
    needs="batch",
    inputs=(_CLAIMS, _SUPPORTED_CLAIMS, "attempted", _ANSWERABLE),
    formula="faithfulness = supported / claims, by answerable; share of confident answers below tau without a document",
)
def rag_report(batch: SignalBatch, *, tau: float = 0.5) -> Signal:
    """Faithfulness where the answer exists and where it does not, and how often the policy makes one up.

    ``confident_unsupported`` is the share, among rows that cannot be answered, of answers given with faithfulness below
    ``tau``. An answer without claims has no faithfulness. `retrieval_metrics` are for the retriever.
    """
    valid, claims = batch.valid, batch["claims"]
    share = batch["supported_claims"] / np.maximum(claims, 1)
    has_claims = valid & batch["attempted"] & (claims > 0)
    answerable = batch["answerable"]
    confident = (has_claims & (share < tau))[valid & ~answerable].astype(np.float64)
    report = {
        "rag/faithfulness_answerable": mean_or_none(share[has_claims & answerable]),
        "rag/faithfulness_unanswerable": mean_or_none(share[has_claims & ~answerable]),
        "rag/confident_unsupported": mean_or_none(confident),
        "rag/attempted": mean_or_none(batch["attempted"][valid].astype(np.float64)),
    }
    return batch.signal(report=report)


def retrieval_metrics(ranking: Sequence[Hashable], relevant: Iterable[Hashable], *, k: int = 10) -> dict[str, float]:
    """Recall, reciprocal rank and NDCG of the first ``k`` documents; relevance is yes or no.

    Raises:
        InputError: nothing is relevant, which leaves recall undefined, or ``k`` is below 1.
    """
    relevant_set = set(relevant)
    if not relevant_set or k < 1:
        raise InputError(f"relevant: {len(relevant_set)} documents and k = {k}; both have to be at least 1")
    hit = np.array([document in relevant_set for document in ranking[:k]], dtype=np.float64)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    first = np.flatnonzero(hit)
    return {
        "recall": float(len(relevant_set.intersection(ranking[:k]))) / len(relevant_set),
        "mrr": 1.0 / (1 + int(first[0])) if first.size else 0.0,
        "ndcg": float((hit * discount[: hit.size]).sum() / discount[: min(k, len(relevant_set))].sum()),
    }


def faithfulness(supported: Sequence[bool]) -> float | None:
    """Share of an answer's claims that the evidence supports; None for an answer without claims."""
    return float(np.mean(supported)) if len(supported) else None
