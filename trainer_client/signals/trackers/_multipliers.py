"""Lagrange multipliers of constraints on mean rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption

from ._tracker import Tracker


class Multipliers(Tracker):
    """Dual ascent: ``lambda_k <- clip(lambda_k + rate * (target_k - mean reward_k), 0, limit)``.

    A constraint that nothing could be checked against this step keeps its multiplier.

    Args:
        targets: mean reward that each constraint asks for.
        rate: size of a step.
        limit: largest multiplier.
        start: first value of each.
    """

    kind = "multipliers"

    def __init__(self, targets: Sequence[float], *, rate: float = 0.01, limit: float = 5.0, start: float = 0.0) -> None:
        if not (rate >= 0 and 0 <= start <= limit):
            raise BadOption(f"rate: {rate} must not be negative, and start: {start} lie between 0 and limit: {limit}")
        self.targets = np.asarray(targets, dtype=np.float64)
        self.rate, self.limit = rate, limit
        self.values: FloatArray = np.full(self.targets.shape, start)

    def update(self, means: FloatArray) -> FloatArray:
        """Take one step and return the shortfall ``target - mean`` of each; NaN marks a mean that is not known."""
        shortfall = self.targets - means
        step = np.where(np.isnan(shortfall), 0.0, self.rate * shortfall)
        self.values = np.clip(self.values + step, 0.0, self.limit)
        return shortfall

    def _state(self) -> dict[str, Any]:
        return {"values": self.values.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        values = np.asarray(state["values"], dtype=np.float64)
        if values.shape != self.targets.shape:
            raise TypeError(f"{values.size} multipliers for {self.targets.size} constraints")
        self.values = values
