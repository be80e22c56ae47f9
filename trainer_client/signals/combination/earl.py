"""Select Less, Reason More: Prioritizing Evidence Purity for Video Reasoning (EARL).

EARL (Select Less, Reason More), formulas quoted in a public note; alpha, beta and the switch are ours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Input,
    InputError,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("earl", __doc__, provenance="secondary")

_SELECTED = Input("selected", "N", "rows", "ids of the evidence that a row selected", examples=([1, 3], [0, 0]))
_GOLD_EVIDENCE = Input(
    "gold_evidence",
    "N",
    "rows",
    "ids of the evidence that matters; None where that is unknown",
    examples=([1, 2], None),
)


_OVERLAP = Input(
    "evidence_iou", "N", "float", "intersection over union of the evidence selected and right", within=(0.0, 1.0)
)
_SELECTIONS = Input("selections", "N", "float", "how much evidence a row selected")


@register(
    "earl",
    paper=PAPER,
    needs="row",
    inputs=("correct", (_SELECTED, _OVERLAP)),
    optional=(_GOLD_EVIDENCE, _SELECTIONS),
    formula="R = (1 right with iou >= 0.5, 0.5 right, -1 wrong) + alpha * [selected] + beta * iou",
    laws=Laws(inputs=("gold_evidence",)),
)
def earl(
    batch: SignalBatch,
    *,
    select_first: float = 0.2,
    select_last: float = 0.05,
    overlap_first: float = 0.2,
    overlap_last: float = 0.5,
    switch_step: int = 0,
    enough: float = 0.5,
) -> Signal:
    """EARL: right answers count in full when they rest on the right evidence; selecting at all is rewarded early on.

    Up to ``switch_step`` of ``batch.step`` the ``first`` weights hold, then the ``last``. Where the gold evidence is
    unknown (None) a right answer counts in full and the overlap adds nothing. Works for citations as for frames: the
    verifier ``evidence`` gives ``evidence_iou`` and ``selections`` in place of the two sets of ids.
    """
    early = (batch.step or 0) < switch_step
    alpha, beta = (select_first, overlap_first) if early else (select_last, overlap_last)
    overlap, acted, has_gold = _compared(batch)
    full = ~has_gold | (overlap >= enough)
    right = np.where(batch["correct"], np.where(full, 1.0, 0.5), -1.0)
    unknown = int((batch.valid & ~has_gold).sum())
    return batch.signal(rewards=right + alpha * acted + beta * overlap, report={"earl/without_gold": unknown})


def _compared(batch: SignalBatch) -> tuple[FloatArray, BoolArray, BoolArray]:
    """``[N]`` overlap of each row, whether it selected anything, and whether the right evidence is known."""
    if "evidence_iou" in batch:
        overlap = batch["evidence_iou"]
        acted = batch["selections"] > 0 if "selections" in batch else overlap > 0
        return overlap, acted, np.ones(batch.rows, np.bool_)
    if "gold_evidence" not in batch:
        raise InputError("gold_evidence: is missing; selected is compared with it")
    chosen, gold = batch.objects("selected"), batch.objects("gold_evidence")
    has_gold = np.array([right is not None for right in gold], np.bool_)
    overlap = np.array([0.0 if g is None else evidence_overlap(s, g) for s, g in zip(chosen, gold, strict=True)])
    return overlap, np.array([len(s) > 0 for s in chosen], np.bool_), has_gold


def evidence_overlap(selected: Iterable[Hashable], gold: Iterable[Hashable]) -> float:
    """Intersection over union of two sets of evidence; 1 when both are empty."""
    chosen, right = set(selected), set(gold)
    return len(chosen & right) / len(chosen | right) if chosen or right else 1.0
