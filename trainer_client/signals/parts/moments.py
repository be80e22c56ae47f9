"""Mean and variance of all values seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from trainer_client.signals._arrays import as_floats, require_finite
from trainer_client.signals.parts.state import Tracker


class RunningMoments(Tracker):
    """Merges the moments of each batch into those of all batches before (Chan's parallel update).

    Attributes:
        count: values seen.
        mean: their mean; 0 before the first.
        squares: sum of squared deviations from the mean.
    """

    kind = "running_moments"

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def update(self, values: ArrayLike) -> None:
        """Take in a batch of values.

        Raises:
            InputError: a value is not finite.
        """
        batch = as_floats("values", values).ravel()
        require_finite("values", batch)
        if not batch.size:
            return
        mean = float(batch.mean())
        delta = mean - self.mean
        total = self.count + batch.size
        self.squares += float(((batch - mean) ** 2).sum()) + delta * delta * self.count * batch.size / total
        self.mean += delta * batch.size / total
        self.count = total

    def deviation(self, ddof: int = 1) -> float:
        """Standard deviation of all values seen; 0 while there are ``ddof`` or fewer."""
        return float((self.squares / (self.count - ddof)) ** 0.5) if self.count > ddof else 0.0

    def _state(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.count, self.mean, self.squares = int(state["count"]), float(state["mean"]), float(state["squares"])
