"""CDRRM: Contrast-Driven Rubric Generation for Reliable and Interpretable Reward Modeling.

CDRRM, ldcan/CDRRM sft_data_synthesis/filter_inconsistent_rubrics.py @100601c6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import Case, Input, Paper, Signal, SignalBatch, golden, register

PAPER = Paper("cdrrm", __doc__, provenance="code")

_EXPECTED_WINNERS = Input(
    "expected_winners", "N", "rows", "which answer of a pair is labelled better", examples=("A", "B")
)
_PREDICTED_WINNERS = Input(
    "predicted_winners", "N", "rows", "which answer of a pair a rubric prefers", examples=("A", "B", "tie", 0.75)
)

Winner = Literal["A", "B"]

_VERDICTS = tuple(
    re.compile(rf"{lead}\s*([AB])\b", re.IGNORECASE)
    for lead in (r"Final Winner:\s*Response", "Final Winner:", r"Winner:\s*Response", "Winner:", r":\s*Response")
)

_SIDES = {"CHOSEN": "A", "REJECTED": "B"}


@register(
    "cdrrm",
    paper=PAPER,
    needs="group",
    inputs=(_EXPECTED_WINNERS, _PREDICTED_WINNERS, "groups"),
    formula="keep an instruction iff its rubric prefers the labelled answer in every pair",
)
def cdrrm(batch: SignalBatch) -> Signal:
    """CDRRM's filter: a rubric that predicts one pair of an instruction wrongly takes all of its pairs out.

    Rows are pairs, ``groups`` instructions. A side that is not stated (an empty text) agrees with anything; a tie does
    not. A number, such as the score of a judge that compares, says from 0 to 1 how far A is preferred. `read_winner`
    and `judge_metrics` are for the judge that uses the rubric.
    """
    valid, groups = batch.taken()
    sides = zip(batch.objects("expected_winners"), batch.objects("predicted_winners"), strict=True)
    agree = np.array([rubric_agrees(expected, predicted) for expected, predicted in sides], np.bool_)[valid]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(groups.all(agree))
    return batch.signal(keep=keep, report={"cdrrm/inconsistent": int((~groups.all(agree)).sum())})


def read_winner(text: str) -> Winner | None:
    """Which of two answers a judge prefers; None when the text does not say.

    The forms ``Final Winner: Response X``, ``Final Winner: X``, ``Winner: Response X``, ``Winner: X`` and
    ``: Response X`` are tried in this order, each from the start of the text, in any case of letters.

    Source: CDRRM, ldcan/CDRRM eval/evaluate.py @100601c6.
    """
    for form in _VERDICTS:
        match = form.search(text)
        if match:
            return "A" if match[1].upper() == "A" else "B"
    return None


def judge_metrics(winners: Sequence[Winner | None], labels: Sequence[Winner]) -> dict[str, float]:
    """Accuracy over all pairs (one without a verdict counts as wrong), over those with a verdict, and their share.

    All are 0 without any pair.

    Source: CDRRM, ldcan/CDRRM eval/evaluate.py @100601c6.
    """
    read = [(winner, label) for winner, label in zip(winners, labels, strict=True) if winner in ("A", "B")]
    right = sum(winner == label for winner, label in read)
    total = len(winners)
    return {
        "num_samples": float(total),
        "acc_all": right / total if total else 0.0,
        "acc_parseable": right / len(read) if read else 0.0,
        "parse_rate": len(read) / total if total else 0.0,
    }


def rubric_agrees(expected: object, predicted: object) -> bool:
    """Whether a rubric prefers the answer that is labelled better; yes where one of the two is not stated ("").

    ``chosen`` and ``rejected`` stand for A and B, and so do numbers above and below one half. Anything else that
    differs, a tie or None included, does not agree.

    Source: CDRRM, ldcan/CDRRM sft_data_synthesis/filter_inconsistent_rubrics.py @100601c6.
    """
    left, right = (_side(said) for said in (expected, predicted))
    return not left or not right or left == right


def _side(said: object) -> str:
    """A or B; empty where nothing is stated, and some other text for a tie and for what is neither."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return "A" if said > 0.5 else "B" if said < 0.5 else "TIE"
    side = str(said).strip().upper()
    return _SIDES.get(side, side)


@golden("CDRRM verdict parser")
def _(case: Case) -> Any:
    return [read_winner(case.inputs["text"])]


@golden("CDRRM consistency filter")
def _(case: Case) -> Any:
    stated = case.inputs["pair_consistency_check"] or {}
    return [rubric_agrees(stated.get("expected_winner", ""), stated.get("rubric_predicts", ""))]


@golden("CDRRM judge metrics")
def _(case: Case) -> Any:
    return [judge_metrics(case.inputs["winners"], case.inputs["ground_truth"])]
