"""Boxes that a response names in an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.optimize import linear_sum_assignment

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, answer_part

_NUMBER = r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*"
_BOX = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")
_MOST = 300

Box = tuple[float, float, float, float]
Form = Literal["xyxy", "xywh"]


class BoxesReference(Reference):
    """The right boxes."""

    boxes: list[Box] = Field(min_length=1, max_length=_MOST, description="Boxes in the form that the options name.")

    @model_validator(mode="before")
    @classmethod
    def _take_answer(cls, data: Any) -> Any:
        """``answer`` is read as well, and a single box as a list of one."""
        if not isinstance(data, dict):
            return data
        boxes = data.get("boxes", data.get("answer"))
        alone = isinstance(boxes, list) and len(boxes) == 4 and not any(isinstance(item, list) for item in boxes)
        return {**data, "boxes": [boxes] if alone else boxes}


class BoxesOptions(AnswerOptions):
    """The metric, and the form of the boxes."""

    metric: Literal["f1", "iou"] = Field(
        "f1",
        description="F1 over boxes that overlap enough, or the overlap itself, mean over all boxes of either side.",
    )
    threshold: float = Field(0.5, gt=0, le=1, description="Overlap from which on a box is found ('f1').")
    form: Form = Field("xyxy", description="Two corners, or a corner with width and height.")


def _corners(boxes: Sequence[Sequence[float]], form: Form) -> NDArray[np.float64]:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    if form == "xywh":
        array[:, 2:] += array[:, :2]
    return array


def _overlaps(answered: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of the answer's boxes ``[N, 4]`` and the right ones ``[M, 4]``: 0 for an empty box."""
    low = np.maximum(answered[:, None, :2], right[None, :, :2])
    high = np.minimum(answered[:, None, 2:], right[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (answered, right)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: NDArray[np.float64] = np.where(shared > 0, shared / np.where(union > 0, union, 1.0), 0.0)
    return overlaps


@verifier(
    "boxes",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("f1", "precision", "recall", "iou", "count"), 0.0),
    libraries=("scipy",),
)
def boxes(rollout: Rollout, ref: BoxesReference, options: BoxesOptions) -> Score:
    """How well named boxes meet the right ones, each assigned to one at most so that overlaps are greatest.

    Source: intersection over union and the best assignment (Kuhn 1955, `scipy.optimize.linear_sum_assignment`), as
    for referred objects in RefCOCO (arXiv 1608.00272).
    """
    answer = answer_part(rollout, options)
    stated = [[float(number) for number in match.groups()] for match in _BOX.finditer(answer or "")]
    if not stated:
        return Score.floor("no_answer", "no box [x, y, x, y]")
    if len(stated) > _MOST:
        return Score.floor("limit", f"{len(stated)} boxes")
    right = _corners(ref.boxes, options.form)
    if not (right[:, 2:] > right[:, :2]).all():
        raise DatasetError(f"reference.boxes: a box has no area in the form {options.form!r}")
    overlaps = _overlaps(_corners(stated, options.form), right)
    assigned = overlaps[linear_sum_assignment(overlaps, maximize=True)]
    hits = int((assigned >= options.threshold).sum())
    precision, recall = hits / len(stated), hits / len(right)
    aspects = {
        "f1": 2 * hits / (len(stated) + len(right)),
        "precision": precision,
        "recall": recall,
        "iou": float(assigned.sum()) / max(len(stated), len(right)),
        "count": float(len(stated)),
    }
    return Score(aspects[options.metric], aspects=aspects, evidence={"boxes": stated[:20]})
