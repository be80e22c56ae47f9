"""`Engine`: gets every cell of a batch settled.

A batch is planned into routes (`_plan`), cut into parcels, and each parcel is delivered: sent to a replica, its
results taken as they come, and what a call leaves open sent again until the deadline. Items are sent again, not calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import _wire as wire
from ._delivery import Delivery
from ._ledger import Ledger
from ._plan import bundle, select
from ._pool import Pool
from ._recipe import Recipe
from ._rollout import Rollout
from ._settings import Batching, Retries

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
    labels: wire.Labels
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


class Engine:
    """Settles batches over the pools of a client. Lives on one event loop."""

    def __init__(self, batching: Batching, retries: Retries) -> None:
        self.batching = batching
        self.retries = retries
        self.budget = Budget(float(retries.reserve), retries.budget, retries.reserve + 1000.0)

    async def settle(self, batch: Batch, pools: Mapping[str, Pool]) -> None:
        """Settle every cell of a batch.

        Raises:
            RequestRejected: a server refuses what it is asked.
            RolloutError: rollouts do not fit together.
        """
        bundles, unusable = bundle(batch.rollouts, batch.sizes)
        chosen = select(batch.recipe, batch.rollouts)
        ledger = batch.ledger
        for column, rows in enumerate(chosen):
            ledger.ask(rows, column)
        for row, outcome in unusable.items():
            ledger.settle([(row, column) for column in range(ledger.width)], outcome)
        columns_of: dict[str, list[int]] = {}
        for column, reward in enumerate(batch.recipe.rewards):
            if chosen[column]:
                columns_of.setdefault(batch.recipe.server_of(reward.verifier_name).name, []).append(column)
        try:
            async with asyncio.TaskGroup() as tasks:
                for server, columns in columns_of.items():
                    delivery = Delivery(self, batch, pools[server], tasks)
                    tasks.create_task(delivery.run(columns, bundles))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        ledger.announce(_unasked(batch))


def _unasked(batch: Batch) -> list[int]:
    """Rollouts of tasks that no reward is asked of: they are complete as they are."""
    rewards = batch.recipe.rewards
    if any(reward.tasks is None for reward in rewards):
        return []
    return [
        row
        for row, rollout in enumerate(batch.rollouts)
        if not any(rollout.task in (reward.tasks or ()) for reward in rewards)
    ]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
