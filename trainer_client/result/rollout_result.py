"""`RolloutResult`: a rollout with its scores, as single-sample callers get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trainer_client.result.details import Cell, read_details
from trainer_client.result.outcomes import Outcome, OutcomeStore
from trainer_client.result.table import NOTHING_KEPT, CarriedState, ScoreTable

if TYPE_CHECKING:
    from trainer_client.result.batch import Batch


class RolloutResult:
    """A rollout with its scores.

    Attributes:
        reward: the reward after weights and gates; None when there is none. A score that is missing and optional
            contributes nothing: a single rollout has no siblings whose mean could replace it.
    """

    __slots__ = ("_batch", "_row", "reward")

    def __init__(self, batch: Batch, row: int, reward: float | None) -> None:
        self._batch = batch
        self._row = row
        self.reward = reward

    @property
    def rollout_id(self) -> str:
        """The rollout."""
        return self._batch.rollouts[self._row].rollout_id

    def __repr__(self) -> str:
        return f"<RolloutResult {self.rollout_id!r}: {self.reward}>"

    @property
    def scores(self) -> dict[str, float | None]:
        """Score by reward; None where there is none."""
        store = self._batch.store
        start = self._row * store.width
        return {
            name: store.scores[start + i] if store.state[start + i] == Outcome.VERDICT else None
            for i, name in enumerate(self._batch.recipe.columns)
        }

    @property
    def codes(self) -> dict[str, str]:
        """Code by reward: what was found, or why there is no score."""
        store = self._batch.store
        start = self._row * store.width
        return {name: store.code_names[store.codes[start + i]] for i, name in enumerate(self._batch.recipe.columns)}

    def aspects(self, reward: str) -> Mapping[str, float | None]:
        """Parts of a reward's verdict; empty where there is none, None for one that could not be judged."""
        store, column = self._batch.store, self._batch.recipe.columns.index(reward)
        at = self._row * store.width + column
        if store.state[at] != Outcome.VERDICT:
            return {}
        names = store.aspects[column].names
        aspects: Mapping[str, float | None] = read_details(store.sources[at], store.places[at], names).get(
            "aspects", {}
        )
        return aspects

    def cell(self, reward: str) -> Cell:
        """Everything said of one reward: see `ScoreTable.cell`."""
        return table_of([self]).cell(0, reward)


def table_of(scored: Sequence[RolloutResult], seconds: float = 0.0, *, kept: CarriedState = NOTHING_KEPT) -> ScoreTable:
    """A table of rollouts that may come from several batches of one recipe."""
    batch = scored[0]._batch
    return ScoreTable.of(
        [result._batch.rollouts[result._row] for result in scored],
        batch.recipe,
        OutcomeStore.joined([result._batch.store.take([result._row]) for result in scored]),
        floors={column: floor for result in scored for column, floor in result._batch.floors.items()},
        seconds=seconds,
        kept=kept,
        step=batch.labels.step,
        partial=True,
    )


def rewards_of(batch: Batch, rows: Sequence[int]) -> tuple[list[float | None], set[int]]:
    """Rewards of single rollouts, each on its own, so that none depends on what it was merged with.

    Returns:
        The rewards, None where there is none, and the rows that miss a score under a code that aborts.
    """
    from trainer_client.signals import combine

    store = batch.store
    cells = store.view(rows)
    is_asked = cells.state != Outcome.NOT_ASKED
    valid = cells.state == Outcome.VERDICT
    terms = batch.recipe.at(batch.labels.step).terms(batch.floors)
    aborted: set[int] = set()
    if not valid.all():
        for at, column in np.argwhere(is_asked & ~valid).tolist():
            if terms[column].action(store.code_names[cells.codes[at, column]]) == "abort":
                aborted.add(rows[at])
        terms = [
            replace(term, on_missing={code: "mask" if a == "abort" else a for code, a in term.on_missing.items()})
            for term in terms
        ]
    combined = combine(
        cells.scores,
        valid,
        terms,
        codes=cells.codes,
        code_names=store.code_names,
        asked=is_asked,
        groups=np.arange(len(rows)),
        max_missing=1.0,
    )
    usable = combined.valid & is_asked.any(axis=1)
    rewards: list[float | None] = combined.rewards.tolist()
    if not usable.all():
        rewards = [reward if ok else None for reward, ok in zip(rewards, usable.tolist(), strict=True)]
    return rewards, aborted
