"""Faithful GRPO (FGRPO).

Faithful GRPO (arXiv 2604.08476); the constants are those of a project that adopts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("fgrpo", __doc__, provenance="secondary")


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
            raise OptionError(f"rate: {rate} must not be negative, and start: {start} lie between 0 and limit: {limit}")
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


def _task_and_constraints(options: Mapping[str, Any], number: int) -> str:
    targets = len(options["targets"])
    fits = number == targets + 1
    return "" if fits else f"{number} columns for the task and {targets} targets; give one target for each constraint"


@register(
    "fgrpo",
    paper=PAPER,
    needs="state",
    inputs=("components", "groups"),
    formula=(
        "A = A_0 + sum_k lambda_k * A_k, each normalised in the group; lambda_k <- clip(lambda_k + rate * "
        "(target_k - mean R_k), 0, limit)"
    ),
    columns=_task_and_constraints,
    laws=Laws(options={"targets": (0.9,), "start": 1.0}),
)
class Constrained(Multipliers):
    """Faithful GRPO: constraints on mean rewards, each with a multiplier that rises while it is violated.

    The first component is the task's reward, the others the constraints', in the order of ``targets``;
    ``components_valid`` says which could be checked. A row without the task's reward is left out. The multipliers of
    before the step are used, then they take their step: call once per optimiser step on the whole batch.
    """

    kind = "fgrpo"

    def __init__(
        self,
        *,
        targets: tuple[float, ...],
        rate: float = 0.01,
        limit: float = 5.0,
        start: float = 0.0,
        rescale: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(targets, rate=rate, limit=limit, start=start)
        self.rescale, self.eps = rescale, eps

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step."""
        components, present = batch["components"], batch.components_given
        live = present[:, 0]
        present = present & live[:, None]
        parts = [
            group_normalise(components[:, k], batch.groups, present[:, k], eps=self.eps)
            for k in range(components.shape[1])
        ]
        advantages = parts[0] + sum(value * part for value, part in zip(self.values, parts[1:], strict=True))
        if self.rescale:
            advantages = advantages / (1.0 + float(self.values.sum()))
        counts = present[:, 1:].sum(0)
        sums = np.where(present[:, 1:], components[:, 1:], 0.0).sum(0)
        used = self.values
        shortfall = self.update(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))
        return batch.signal(
            keep=live | ~batch.valid,
            advantages=advantages,
            report={"fgrpo/lambda": used.tolist(), "fgrpo/violation": np.nan_to_num(shortfall).tolist()},
        )
