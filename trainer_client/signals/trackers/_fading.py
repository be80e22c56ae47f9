"""Mean and variance in which the past fades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer_client.signals._errors import BadOption

from ._tracker import Tracker


class FadingMoments(Tracker):
    """Exponential moving mean, and moving square of the deviation from it.

    ``mean <- (1 - a) * mean + a * x``; ``variance <- (1 - a) * variance + a * (x - mean)^2`` with the new mean.

    Args:
        rate: ``a``, weight of a new value.
        mean: start.
        variance: start.

    Source: FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/grpo_train.py @2c208b85.
    """

    kind = "fading_moments"

    def __init__(self, *, rate: float = 0.05, mean: float = 0.0, variance: float = 1e-6) -> None:
        if not 0 < rate <= 1 or variance < 0:
            raise BadOption(f"rate: {rate} must lie in (0, 1] and variance: {variance} must not be negative")
        self.rate, self.mean, self.variance = rate, mean, variance

    def update(self, value: float) -> None:
        """Take in one value."""
        self.mean += self.rate * (value - self.mean)
        self.variance += self.rate * ((value - self.mean) ** 2 - self.variance)

    def _state(self) -> dict[str, Any]:
        return {"mean": self.mean, "variance": self.variance}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.mean, self.variance = float(state["mean"]), float(state["variance"])
