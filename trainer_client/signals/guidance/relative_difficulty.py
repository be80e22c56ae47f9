"""DeepVideo-R1's difficulty: prompts harder than the recent ones get help, easier ones are made harder.

DeepVideo-R1 (arXiv 2506.07464) eq. 9; window and span are ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals.authoring import FloatArray, OptionError, Request, Signal, SignalBatch, register
from trainer_client.signals.parts.state import Tracker


@register(
    "relative_difficulty",
    paper="deepvideo-r1",
    needs="state",
    inputs=("rewards", "groups"),
    provenance="paper",
    formula="D = mean of recent group means - mean of the group; fraction = min(|D| / span, 1)",
)
class RelativeDifficulty(Tracker):
    """DeepVideo-R1's difficulty: prompts harder than the recent ones get help, easier ones are made harder.

    Requests are of kind ``hint`` for D > 0 (``fraction`` of a good reasoning trace goes into the prompt) and
    ``harden`` for D < 0 (video frames get noise in the paper; a text has no such operation defined). The window counts
    calls. Before the first there is nothing to compare with, and D is 0.
    """

    kind = "relative_difficulty"
    parts = ("_means",)

    def __init__(self, *, window: int = 20, span: float = 1.0) -> None:
        if not span > 0:
            raise OptionError(f"relative_difficulty: span = {span} must be positive; it is the range of rewards")
        self.span = span
        self._means = RecentMeans(window=window)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Compare each prompt with the recent ones, and remember its mean."""
        valid, groups = batch.taken()
        means = groups.mean(batch.rewards[valid])
        recent = self._means.mean
        rows = np.flatnonzero(valid)[groups.order[groups.starts]] if len(groups) else np.zeros(0, np.int64)
        requests = []
        for row, mean in zip(rows.tolist(), means.tolist(), strict=True):
            difficulty = 0.0 if recent is None else recent - mean
            details = {"difficulty": difficulty, "fraction": min(abs(difficulty) / self.span, 1.0)}
            if difficulty:
                requests.append(Request(row, "hint" if difficulty > 0 else "harden", details))
        self._means.update(means)
        return batch.signal(requests=requests, report={"relative_difficulty/recent": recent or 0.0})


class RecentMeans(Tracker):
    """First in, first out: the group means of the last ``window`` calls.

    Args:
        window: calls remembered.
    """

    kind = "recent_means"

    def __init__(self, *, window: int = 20) -> None:
        if window < 1:
            raise OptionError(f"window: {window} must be at least 1")
        self._steps: deque[list[float]] = deque(maxlen=window)
        self.window = window

    @property
    def mean(self) -> float | None:
        """Mean over all groups remembered; None before the first."""
        values = [value for step in self._steps for value in step]
        return float(np.mean(values)) if values else None

    def update(self, means: FloatArray) -> None:
        """Take in the group means of a step."""
        self._steps.append(means.tolist())

    def _state(self) -> dict[str, Any]:
        return {"steps": [list(step) for step in self._steps]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._steps = deque((list(map(float, step)) for step in state["steps"]), maxlen=self.window)
