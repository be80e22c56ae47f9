"""What a recipe's method makes of a score table: its inputs, taken apart as it wants them, and its signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer_client._errors import RecipeError, StateError
from trainer_client.recipe.inputs import Plan, Source
from trainer_client.recipe.recipe import Recipe
from trainer_client.recipe.state import keeps_state
from trainer_client.result.details import Cell
from trainer_client.result.inputs import arrays_of, below
from trainer_client.result.verifiers import VerifierId

if TYPE_CHECKING:
    from trainer_client.signals import Combined, Estimator, Pipeline, Signal

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class RewardSource(Protocol):
    """What a signal is made of: see `ScoreTable`."""

    recipe: Recipe
    rollout_ids: list[str]
    group_ids: list[str]
    columns: tuple[str, ...]
    scores: FloatArray
    versions: tuple[tuple[VerifierId, ...], ...]

    @property
    def recipe_now(self) -> Recipe:
        """The recipe as it is at the table's step."""

    @property
    def valid(self) -> BoolArray:
        """Which scores are there."""

    @property
    def asked(self) -> BoolArray:
        """Which scores are asked for."""

    @property
    def combined(self) -> Combined:
        """The rewards, and what each score contributed."""

    @property
    def mask(self) -> BoolArray:
        """Which rollouts have a reward."""

    @property
    def rewards(self) -> FloatArray:
        """The rewards."""

    def column(self, reward: str) -> int:
        """Position of a reward."""

    def aspect(self, reward: str | int, name: str) -> FloatArray:
        """One aspect of a reward's verdicts."""

    def cell(self, row: int, reward: str | int) -> Cell:
        """Everything said of one reward of one rollout."""


def signal_of(
    table: RewardSource,
    kept: Estimator | Pipeline | None,
    values: Mapping[str, list[Any]],
    passed: Mapping[str, Any],
    *,
    step: int | None,
    partial: bool,
) -> Signal:
    """Apply the recipe's ``advantage`` setting: see `ScoreTable.estimate`.

    Args:
        table: the scores.
        kept: the method with its state, where the client keeps one.
        values: what the rollouts hold of its inputs.
        passed: inputs that code gives.
        step: number of the step.
        partial: whether the table is a part of a batch.
    """
    from trainer_client.signals import SignalBatch

    recipe = table.recipe_now
    # Weights that follow the step are options of a method that takes the rewards apart.
    kept = None if kept is not None and table.recipe.weighs_by_step(kept) else kept
    estimator = kept or recipe.estimator()
    if estimator is None:
        raise RecipeError('the recipe has none; set advantage = "grpo" or another method', "advantage")
    if kept is None and keeps_state(estimator):
        raise StateError(
            f"{estimator.name} keeps state from step to step, and this table is separated from the client with that "
            "state (for example, because it was pickled); read table.advantages where client.score() returned the table"
        )
    plan = recipe.plan
    assert plan is not None
    values = {**values, **evidence_of(table, values)}
    for source in _of_evidence(plan):
        if table.valid[:, table.column(source.name)].any() and all(value is None for value in values[source.base]):
            raise RecipeError(
                f"no verdict has {'.'.join(source.path)!r} in its evidence; some verifiers give it only if an "
                "option asks for it",
                f"rewards.{source.name}.verifier",
            )
    arrays = arrays_of(plan, values, table.rollout_ids, lambda source: _column(table, source))
    arrays_of_table: dict[str, Any] = {"rewards": _apart(table, plan.apart) if plan.apart else table.rewards}
    if "components" in estimator.reads and "components" not in arrays.inputs:
        columns = [place for place, reward in enumerate(recipe.rewards) if not reward.is_monitor]
        arrays_of_table["components"] = _components(table)[:, columns]
        arrays_of_table["components_valid"] = table.combined.components_valid[:, columns]
    # What the table holds is offered; what the caller passes is meant, and refused where it is not read.
    offered = {name: value for name, value in (arrays_of_table | arrays.inputs).items() if name in estimator.reads}
    batch = {"rewards": None, "groups": table.group_ids, **offered, **passed}
    return estimator(SignalBatch(valid=table.mask & arrays.known, step=step, sharded=partial, **batch))


def evidence_of(table: RewardSource, read_columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """What the evidence of verdicts holds of the inputs of a recipe's method, by source; None where it holds nothing.

    Args:
        table: the scores.
        read_columns: values that were taken before.
    """
    columns: dict[str, list[Any]] = {}
    for source in _of_evidence(table.recipe.plan):
        if source.base not in read_columns:
            cells = (table.cell(row, source.name) for row in range(len(table.rollout_ids)))
            columns[source.base] = [below(cell.evidence, source.path) for cell in cells]
    return columns


def _of_evidence(plan: Plan | None) -> list[Source]:
    all_sources = plan.sources().values() if plan is not None else ()
    return [source for sources in all_sources for source in sources if source.kind == "evidence"]


def _apart(table: RewardSource, names: Sequence[str]) -> FloatArray:
    """``[N]`` weighted sum of some of the rewards."""
    columns = [table.column(name) for name in names]
    weights = np.array([table.recipe_now.rewards[column].weight for column in columns])
    return np.where(table.mask, _components(table)[:, columns] @ weights, np.nan)


def _column(table: RewardSource, source: Source) -> FloatArray:
    """``[N]`` scores of a reward, with a floor where one replaces it, or an aspect; NaN where there is none."""
    column = table.column(source.name)
    if source.kind == "reward":
        has_score = table.valid[:, column]
        floored = table.combined.components_valid[:, column] & table.asked[:, column]
        scores = np.where(has_score, table.scores[:, column], table.combined.components[:, column])
        return np.where(has_score | floored, scores, np.nan)
    (name,) = source.path
    values = table.aspect(column, name)
    versions = table.versions[column]
    # Some verifiers name aspects after what they are asked, a rubric's criteria above all: what is there is there.
    if versions and name not in versions[0].aspects and table.valid[:, column].any() and np.isnan(values).all():
        known_names = ", ".join(versions[0].aspects) or "none"
        raise RecipeError(
            f"{versions[0].name} has no aspect {name!r}; it has {known_names}", f"rewards.{source.name}.verifier"
        )
    return values


def _components(table: RewardSource) -> FloatArray:
    """``[N, R]`` scores as the sum reads them: see `signals.Combined`.

    Raises:
        RecipeError: a closed gate's value has no weight to reach a method by that takes the rewards apart.
    """
    combined = table.combined
    weights = np.array([reward.weight for reward in table.recipe_now.rewards])
    complete = table.mask & (combined.closed_by >= 0) & combined.components_valid.all(axis=1)
    lost = np.flatnonzero(complete & ~np.isclose(combined.components @ weights, table.rewards))
    if lost.size:
        gate = table.columns[combined.closed_by[lost[0]]]
        raise RecipeError(
            "has a gate with a value for closed, but neither this reward nor one behind the gate has a weight, so a "
            "method that reads the rewards separately never sees that value (rollout "
            f"{table.rollout_ids[lost[0]]!r}); give one of them a weight",
            f"rewards.{gate}",
        )
    return combined.components
