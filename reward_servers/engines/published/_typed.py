"""Accuracy by the type of answer (GRPO-CARE, Video-R1)."""

from __future__ import annotations

import math
import re
from typing import Literal, get_args

from reward_servers.engines.published._tagged import answer_of
from reward_servers.engines.similarity import error_rate, rouge

AnswerType = Literal["multiple choice", "numerical", "OCR", "free-form", "regression"]

_WORD = re.compile(r"[a-z0-9]+")


def typed_accuracy(reply: str, reference: str, kind: AnswerType) -> float:
    """Accuracy, 0 to 1, of the first answer tag of a reply.

    ``multiple choice``: equal after stripping. ``numerical``: equal after rounding to two places, and written with a
    decimal or thousands mark either both or neither. ``OCR``: 1 less the word error rate. ``free-form``: mean F-measure
    of ROUGE-1, -2 and -L (unstemmed). ``regression``: 1 less the relative error, at least 0. Not a number,
    infinity, and what is no number score 0. The work on ``OCR`` and ``free-form`` grows with the product of both
    lengths.

    Args:
        reply: text with an answer tag; without one the answer is empty.
        reference: the right answer, with or without the tag.
        kind: type of the answer.

    Raises:
        ValueError: the type is unknown, or a number is asked for and the reference is none.

    Source: TencentARC/GRPO-CARE src/r1-v/src/open_r1/grpo.py @b0628fcc.
    """
    if kind not in get_args(AnswerType):
        raise ValueError(f"{kind!r} is no type of answer; choose one of {', '.join(get_args(AnswerType))}")
    answer = (answer_of(reply) or "").strip()
    tagged = answer_of(reference)
    gold = reference.strip() if tagged is None else tagged.strip()
    if kind == "multiple choice":
        return float(answer == gold)
    if kind == "OCR":
        return max(0.0, 1.0 - error_rate(answer.split(), gold.split()))
    if kind == "free-form":
        scores = rouge(_WORD.findall(answer.lower()), _WORD.findall(gold.lower()))
        return sum(scores.values()) / len(scores)
    right = _number(gold)
    if right is None:
        raise ValueError(f"the reference {gold!r} is not a number")
    number = _number(answer)
    if number is None:
        return 0.0
    if kind == "numerical":
        return float(_marked(answer) == _marked(gold) and round(number, 2) == round(right, 2))
    return 1.0 - min(abs(number - right) / max(abs(right), 1e-9), 1.0)


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _marked(text: str) -> bool:
    return "." in text or "," in text
