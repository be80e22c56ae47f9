"""Reports on policies, searches and retrieval; they change no reward."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.evaluation import implicit_accuracy, mean_or_none, search_metrics, win_rate
from trainer_client.signals.preference import labelled_pairs

_SEARCH = ("sufficient", "attempted", "correct")


@register(
    "webdetective",
    room="evaluation",
    needs="batch",
    inputs=_SEARCH,
    certainty="secondary",
    source="WebDetective (arXiv 2510.05137), note with formula and table; the denominators of the use F1 are ours",
    formula="(F1 of refusing where knowledge lacks + F1 of answering right where it suffices) / 2 * share sufficient",
    papers=("webdetective",),
)
def webdetective(batch: SignalBatch, *, refusal: float = 0.5) -> Signal:
    """WebDetective: search, refusal and use of evidence apart; as a reward, a refusal earns where evidence lacks.

    ``rewards``: 1 for a right answer, ``refusal`` for refusing without sufficient evidence, else 0. A row of which
    nobody knows whether its evidence suffices is not valid.
    """
    valid = batch.valid
    parts = [batch[name][valid] for name in _SEARCH]
    rewards = np.where(
        batch["attempted"], batch["correct"].astype(np.float64), np.where(batch["sufficient"], 0.0, refusal)
    )
    found = search_metrics(*parts)._asdict()
    return batch.signal(rewards=rewards, report={f"webdetective/{name}": value for name, value in found.items()})


@register(
    "rag_report",
    room="evaluation",
    needs="batch",
    inputs=("claims", "supported_claims", "attempted", "answerable"),
    certainty="abstract",
    source="Retrieval Improvements Do Not Guarantee Better Answers, abstract; RAGAS (arXiv 2309.15217) for the forms",
    formula="faithfulness = supported / claims, by answerable; share of confident answers below tau without a document",
    papers=("rag-policy",),
)
def rag_report(batch: SignalBatch, *, tau: float = 0.5) -> Signal:
    """Faithfulness where the answer exists and where it does not, and how often the policy makes one up.

    ``confident_unsupported`` is the share, among rows that cannot be answered, of answers given with faithfulness below
    ``tau``. An answer without claims has no faithfulness. `evaluation.retrieval_metrics` are for the retriever.
    """
    valid, claims = batch.valid, batch["claims"]
    share = batch["supported_claims"] / np.maximum(claims, 1)
    stated = valid & batch["attempted"] & (claims > 0)
    answerable = batch["answerable"]
    confident = (stated & (share < tau))[valid & ~answerable].astype(np.float64)
    report = {
        "rag/faithfulness_answerable": mean_or_none(share[stated & answerable]),
        "rag/faithfulness_unanswerable": mean_or_none(share[stated & ~answerable]),
        "rag/confident_unsupported": mean_or_none(confident),
        "rag/attempted": mean_or_none(batch["attempted"][valid].astype(np.float64)),
    }
    return batch.signal(report=report)


@register(
    "alignment_gap",
    room="evaluation",
    needs="batch",
    inputs=("preferred", "groups", "logprobs", "ref_logprobs", "lengths|mask"),
    optional=("comparisons",),
    certainty="abstract",
    source="Understanding the performance gap between online and offline alignment (arXiv 2405.08448), abstract",
    formula="accuracy of log pi / pi_ref on labelled pairs beside the win rate of what the policy writes",
    papers=("alignment-gap",),
)
def alignment_gap_report(batch: SignalBatch) -> Signal:
    """How well a policy tells answers apart, beside how well it answers.

    Groups are held-out pairs, of which ``preferred`` is the better row. ``comparisons`` hold what the policy's own
    answers won against an opponent, by a gold judge. `evaluation.alignment_gap` reads a run's figures for the point
    where accuracy rises and win rate falls.
    """
    inside = batch.mask & batch.valid[:, None]
    ratios: FloatArray = np.where(inside, batch["logprobs"] - batch["ref_logprobs"], 0.0).sum(1)
    chosen, rejected = labelled_pairs(batch["preferred"], batch.groups, batch.valid)
    accuracy = implicit_accuracy(ratios[chosen], ratios[rejected])
    rows = zip(batch.objects("comparisons"), batch.valid, strict=True) if "comparisons" in batch else ()
    rate = win_rate(np.array([outcome for row, live in rows if live for outcome in row], dtype=np.float64))
    seen = ratios[batch.valid]
    return batch.signal(
        report={
            "alignment/accuracy": accuracy.mean,
            "alignment/accuracy_error": accuracy.error,
            "alignment/win_rate": rate.mean,
            "alignment/win_rate_error": rate.error,
            "alignment/log_ratio": mean_or_none(seen),
        }
    )
