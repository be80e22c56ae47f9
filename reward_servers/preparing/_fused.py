"""Grades of documents from the orders of two rankers (GroupRank)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from reward_servers.preparing._step import RowError, StepOptions, Table, step
from trainer_client.signals.shaping.grouprank import fused_labels


class FusedOptions(StepOptions):
    """How two orders become one."""

    beta: float = Field(0.5, ge=0.0, le=1.0, description="Weight of the pointwise order.")
    grades: int = Field(10, ge=1, le=100, description="Grade of the best document; the worst has 0.")


@step("fuse-ranks", FusedOptions)
def fused(row: Table, options: FusedOptions, _: np.random.Generator) -> Iterator[dict[str, Any]]:
    """`reference.relevance` out of the places (from 1) in `point_ranks` and `list_ranks`, objects by document.

    GroupRank's `-beta * ln point - (1 - beta) * ln list`, spread evenly over whole grades.
    """
    point, listed = row.get("point_ranks"), row.get("list_ranks")
    if not isinstance(point, dict) or not isinstance(listed, dict) or not point or point.keys() != listed.keys():
        raise RowError("point_ranks, list_ranks: expected two objects with a place for the same documents")
    try:
        scores = fused_labels(list(point.values()), [listed[name] for name in point], beta=options.beta)
    except (ValueError, TypeError) as error:
        raise RowError(f"point_ranks, list_ranks: {error}") from None
    span = float(np.ptp(scores))
    grades = np.rint((scores - scores.min()) / (span or 1.0) * options.grades).astype(int)
    relevance = dict(zip(point, grades.tolist(), strict=True))
    yield {**row, "reference": {**(row.get("reference") or {}), "relevance": relevance}}
