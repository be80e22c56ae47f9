"""Demystifying deep search: WebDetective and EvidenceLoop.

WebDetective (arXiv 2510.05137), note with formula and table; the denominators of the use F1 are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer_client.signals.authoring import BoolArray, Input, Paper, Signal, SignalBatch, register

PAPER = Paper("webdetective", __doc__, provenance="secondary")

_SUFFICIENT = Input("sufficient", "N", "bool", "row knew all that the answer needs")

_SEARCH = ("sufficient", "attempted", "correct")


@register(
    "webdetective",
    paper=PAPER,
    needs="batch",
    inputs=(_SUFFICIENT, "attempted", "correct"),
    formula="(F1 of refusing where knowledge lacks + F1 of answering right where it suffices) / 2 * share sufficient",
)
def webdetective(batch: SignalBatch, *, refusal: float = 0.5) -> Signal:
    """WebDetective: search, refusal and use of evidence apart; as a reward, a refusal earns where evidence lacks.

    ``rewards``: 1 for a right answer, ``refusal`` for refusing without sufficient evidence, else 0. A row of which
    of which it is not known whether its evidence suffices is not valid.
    """
    valid = batch.valid
    parts = [batch[name][valid] for name in _SEARCH]
    rewards = np.where(
        batch["attempted"], batch["correct"].astype(np.float64), np.where(batch["sufficient"], 0.0, refusal)
    )
    metrics = search_metrics(*parts)._asdict()
    return batch.signal(rewards=rewards, report={f"webdetective/{name}": value for name, value in metrics.items()})


class SearchMetrics(NamedTuple):
    """Search, refusal and use of evidence, apart. A figure without a case is None.

    Attributes:
        knowledge: share of questions for which the search found all that is needed.
        refusal_f1: of refusing exactly where it did not.
        use_f1: of answering rightly exactly where it did.
        generation: ``(refusal_f1 + use_f1) / 2 * knowledge``.
    """

    knowledge: float | None
    refusal_f1: float | None
    use_f1: float | None
    generation: float | None


def search_metrics(sufficient: BoolArray, attempted: BoolArray, correct: BoolArray) -> SearchMetrics:
    """WebDetective's factorised metrics.

    Args:
        sufficient: ``[N]`` the search found all evidence, or the policy knew what was missing.
        attempted: ``[N]`` an answer was given instead of a refusal.
        correct: ``[N]`` the answer is right.

    Source: WebDetective (arXiv 2510.05137), quoted in a public note; the denominators of ``use_f1`` are reconstructed
    and give seven of nine printed rows.
    """
    if not sufficient.size:
        return SearchMetrics(None, None, None, None)
    refused, used = ~attempted, attempted & correct & sufficient
    refusal = _f1(int((refused & ~sufficient).sum()), int(refused.sum()), int((~sufficient).sum()))
    use = _f1(int(used.sum()), int(attempted.sum()), int(sufficient.sum()))
    knowledge = float(sufficient.mean())
    overall = None if refusal is None or use is None else (refusal + use) / 2 * knowledge
    return SearchMetrics(knowledge, refusal, use, overall)


def _f1(hits: int, named: int, true: int) -> float | None:
    """Harmonic mean of ``both / named`` and ``both / true``; None when there is neither."""
    return 2.0 * hits / (named + true) if named + true else None
