"""How often each small whole number has been seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import as_ints

from ._tracker import Tracker


class CountHistogram(Tracker):
    """Quantiles of a count (sub-agent calls, turns, hints used) over all steps."""

    kind = "count_histogram"

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Numbers seen."""
        return sum(self._seen.values())

    def update(self, counts: ArrayLike) -> None:
        """Take in a batch of counts.

        Raises:
            BadInput: a count is not a whole number.
        """
        values, times = np.unique(as_ints("counts", counts), return_counts=True)
        for value, often in zip(values.tolist(), times.tolist(), strict=True):
            self._seen[value] = self._seen.get(value, 0) + often

    def quantile(self, q: float) -> int:
        """The smallest count that a share ``q`` of all seen does not exceed; 0 before the first."""
        needed, reached = q * self.total, 0
        for value in sorted(self._seen):
            reached += self._seen[value]
            if reached >= needed - 1e-9:
                return value
        return 0

    def _state(self) -> dict[str, Any]:
        return {"seen": [[value, self._seen[value]] for value in sorted(self._seen)]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._seen = {int(value): int(often) for value, often in state["seen"]}
