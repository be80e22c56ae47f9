"""Quantiles of a stream of values, kept from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray, as_floats, require_finite
from trainer_client.signals._errors import OptionError
from trainer_client.signals.parts.state import Tracker


class QuantileTracker(Tracker):
    """Quantiles at fixed levels, moved by each batch: ``q += rate * (level - share of values below q)``.

    The first batch sets its own quantiles.

    Args:
        levels: number of levels, evenly spaced within (0, 1); 19 gives 0.05 to 0.95.
        rate: step size.

    Attributes:
        levels: ``[L]``.
        quantiles: ``[L]``, or None before the first batch.

    Source: RiskPO, RTkenny/RiskPO verl/trainer/ppo/ray_trainer.py @65ec40c9.
    """

    kind = "quantiles"

    def __init__(self, *, levels: int = 19, rate: float = 0.1) -> None:
        if levels < 1 or not rate > 0:
            raise OptionError(f"levels: {levels} and rate: {rate} must be positive")
        self.levels: FloatArray = np.arange(1, levels + 1) / (levels + 1)
        self.rate = rate
        self.quantiles: FloatArray | None = None

    def update(self, values: FloatArray) -> None:
        """Take in the values of a step; without any nothing changes.

        Raises:
            InputError: a value is not finite.
        """
        seen = as_floats("values", values).ravel()
        require_finite("values", seen)
        if not seen.size:
            return
        if self.quantiles is None:
            self.quantiles = np.quantile(seen, self.levels)
            return
        below = np.searchsorted(np.sort(seen), self.quantiles, side="left") / seen.size
        self.quantiles = self.quantiles + self.rate * (self.levels - below)

    def at(self, level: float) -> float | None:
        """The quantile of the nearest level; None before the first batch."""
        return None if self.quantiles is None else float(self.quantiles[np.argmin(np.abs(self.levels - level))])

    def _state(self) -> dict[str, Any]:
        return {"quantiles": None if self.quantiles is None else self.quantiles.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        found = state["quantiles"]
        if found is not None and len(found) != self.levels.size:
            raise KeyError(f"{len(found)} quantiles for {self.levels.size} levels")
        self.quantiles = None if found is None else np.asarray(found, dtype=np.float64)
