"""Mean rewards of the prompts of the last steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption

from ._tracker import Tracker


class RecentMeans(Tracker):
    """First in, first out: the group means of the last ``window`` calls.

    Args:
        window: calls remembered.
    """

    kind = "recent_means"

    def __init__(self, *, window: int = 20) -> None:
        if window < 1:
            raise BadOption(f"window: {window} must be at least 1")
        self._steps: deque[list[float]] = deque(maxlen=window)
        self.window = window

    @property
    def mean(self) -> float | None:
        """Mean over all groups remembered; None before the first."""
        every = [value for step in self._steps for value in step]
        return float(np.mean(every)) if every else None

    def update(self, means: FloatArray) -> None:
        """Take in the group means of a step."""
        self._steps.append(means.tolist())

    def _state(self) -> dict[str, Any]:
        return {"steps": [list(step) for step in self._steps]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._steps = deque((list(map(float, step)) for step in state["steps"]), maxlen=self.window)
