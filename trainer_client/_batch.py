"""`Batch`: rollouts on their way to scores, and the `Budget` of what may be sent again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._ledger import Ledger
from ._recipe import Recipe
from ._rollout import Rollout
from ._wire import Labels

if TYPE_CHECKING:
    from .signals import Estimator, Pipeline


@dataclass(slots=True)
class Batch:
    """Rollouts on their way to scores.

    Attributes:
        rollouts: the batch.
        recipe: what is asked.
        ledger: the outcomes.
        labels: what requests are labelled with.
        started: when it was handed over, on the loop's clock.
        sizes: size of each complete group; None when every group of the batch is complete.
        floors: floor of each column's verifier, where a server has told it.
        estimator: what makes advantages of the rewards.
        name: an id that no other batch has; requests are named after it.
    """

    rollouts: Sequence[Rollout]
    recipe: Recipe
    ledger: Ledger
    labels: Labels
    started: float
    sizes: Mapping[str, int] | None = None
    floors: dict[int, float] = field(default_factory=dict)
    estimator: Estimator | Pipeline | None = None
    name: str = field(default_factory=lambda: os.urandom(16).hex())


@dataclass(slots=True)
class Budget:
    """Items that may be sent again after faults: a reserve, and a share of what is sent."""

    tokens: float
    share: float
    most: float

    def earn(self, items: int) -> None:
        """Items were sent for the first time."""
        self.tokens = min(self.most, self.tokens + self.share * items)

    def spend(self, items: int) -> bool:
        """Whether that many may be sent again."""
        if self.tokens < items:
            return False
        self.tokens -= items
        return True
