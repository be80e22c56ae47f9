"""What a judge wrote, and how often it is right."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

Winner = Literal["A", "B"]

_VERDICTS = tuple(
    re.compile(rf"{lead}\s*([AB])\b", re.IGNORECASE)
    for lead in (r"Final Winner:\s*Response", "Final Winner:", r"Winner:\s*Response", "Winner:", r":\s*Response")
)
_SCORE = re.compile(r"<score>(.*?)</score>", re.DOTALL)
_FRACTION = re.compile(r"\s*([-+]?\d+(?:\.\d*)?)\s*/\s*(\d+(?:\.\d*)?)\s*")
_SIDES = {"CHOSEN": "A", "REJECTED": "B"}


def read_winner(text: str) -> Winner | None:
    """Which of two answers a judge prefers; None when the text does not say.

    The forms ``Final Winner: Response X``, ``Final Winner: X``, ``Winner: Response X``, ``Winner: X`` and
    ``: Response X`` are tried in this order, each from the start of the text, in any case of letters.

    Source: CDRRM, ldcan/CDRRM eval/evaluate.py @100601c6.
    """
    for form in _VERDICTS:
        found = form.search(text)
        if found:
            return "A" if found[1].upper() == "A" else "B"
    return None


def read_item_score(text: str | None) -> float | None:
    """The number within ``<score>``, a fraction such as ``4/5`` included; None when there is none that is finite.

    Source: MPO, minnesotanlp/mpo trl/extras/mpo/rm_essay_writing.py @19972d3b, which counts what it cannot read as 0.
    """
    found = _SCORE.search(text or "")
    if not found:
        return None
    fraction = _FRACTION.fullmatch(found[1])
    try:
        value = float(fraction[1]) / float(fraction[2]) if fraction else float(found[1])
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


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

    ``chosen`` and ``rejected`` stand for A and B. Anything else that differs, a tie or None included, does not agree.

    Source: CDRRM, ldcan/CDRRM sft_data_synthesis/filter_inconsistent_rubrics.py @100601c6.
    """
    sides = [str(side).strip().upper() for side in (expected, predicted)]
    left, right = (_SIDES.get(side, side) for side in sides)
    return not left or not right or left == right
