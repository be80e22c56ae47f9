"""`Batch`: rollouts on their way to scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from trainer_client.recipe.recipe import Recipe
from trainer_client.result.outcomes import ClientOutcome, Outcome, OutcomeStore
from trainer_client.rollout.types import Rollout

_ABANDONED = ClientOutcome(Outcome.SKIP, "abandoned", message="the caller gave it up")


class Labels(NamedTuple):
    """What a batch is labelled with: the run, the step, the seed, and the span that it belongs to, if any."""

    run: str = ""
    step: int = 0
    seed: int = 0
    trace: str = ""


@dataclass(slots=True)
class Batch:
    """Rollouts on their way to scores.

    Attributes:
        rollouts: the batch.
        recipe: what is asked.
        store: the outcomes.
        labels: what requests are labelled with.
        started: when it was handed over, on the loop's clock.
        sizes: size of each complete group; None when every group of the batch is complete.
        floors: floor of each column's verifier, where a server has told it.
        name: an id that no other batch has; requests are named after it.
        on_abandon: called when rollouts were given up, for those who work on them.
    """

    rollouts: Sequence[Rollout]
    recipe: Recipe
    store: OutcomeStore
    labels: Labels
    started: float
    sizes: Mapping[str, int] | None = None
    floors: dict[int, float] = field(default_factory=dict)
    name: str = field(default_factory=lambda: os.urandom(16).hex())
    on_abandon: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.recipe.readings:
            from trainer_client.result.aspects import Readings

            Readings(self.recipe.readings, self.store, self.floors)

    def abandon(self, rows: Sequence[int]) -> None:
        """Rollouts are not waited for any more: their open cells are settled, and calls end that hold nothing else."""
        width = self.store.width
        self.store.settle([(row, column) for row in rows for column in range(width)], _ABANDONED)
        for listener in self.on_abandon:
            listener()

    def end(self) -> None:
        """Every cell is settled: no one is told of anything any more.

        Those who were told know the batch. Kept, they would make a circle with it, in which its texts would stay until
        the garbage collector comes by, which counts objects and not bytes; and results would keep connections.
        """
        self.on_abandon.clear()
        self.store.on_rows = self.store.on_settled = None
