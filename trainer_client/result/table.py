"""`ScoreTable`: the scores of a batch, and the rewards and advantages that follow from them.

Arrays are ``[N, R]``: N rollouts, R rewards; NaN and a code where there is no score. The rest is decoded when read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer_client._errors import RecipeError, RewardError
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.details import PARTIES, Cell, Times, read_aspects, read_cell, read_spent, read_times, seconds
from trainer_client.result.estimating import evidence_of, signal_of
from trainer_client.result.inputs import POLICY_STEPS, joined, values_of
from trainer_client.result.missing import MissingWindow
from trainer_client.result.outcomes import ModelUsage, Outcome, OutcomeStore
from trainer_client.result.verifiers import VerifierId
from trainer_client.rollout.types import Rollout

if TYPE_CHECKING:
    from trainer_client.result.summary import Summary
    from trainer_client.signals import Combined, Estimator, Pipeline, Signal

logger = logging.getLogger("trainer_client")

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int32]


class CarriedState(NamedTuple):
    """What a client keeps from batch to batch.

    Attributes:
        estimator: the recipe's method, with its state; None without one.
        window: how many scores were missing lately; None where each table is judged alone.
    """

    estimator: Estimator | Pipeline | None = None
    window: MissingWindow | None = None


NOTHING_KEPT = CarriedState()


class IncompleteBatchError(RewardError):
    """More scores are missing than the recipe tolerates, or one under a code that asks to stop.

    Attributes:
        reason: which reward, what share, where first, and the remedy.
        table: everything that was scored.
    """

    def __init__(self, reason: str, table: ScoreTable) -> None:
        super().__init__(reason, table)
        self.reason = reason
        self.table = table

    def __str__(self) -> str:
        return self.reason


class ScoreTable:
    """Scores of a batch of rollouts under a recipe.

    Attributes:
        recipe: the recipe.
        rollout_ids: ``N`` ids, in the order the rollouts were given.
        group_ids: ``N`` ids of their groups.
        columns: ``R`` names of the rewards.
        outcomes: ``[N, R]`` `Outcome` of each cell.
        scores: ``[N, R]`` scores; NaN where there is none.
        code_numbers: ``[N, R]`` positions in ``code_names``.
        code_names: names of the codes.
        party_numbers: ``[N, R]`` `Party` of each fault.
        versions: for each column the verifiers that answered; more than one only for a client with ``pin=False``.
        seconds: time from handing over the batch to its last outcome.
    """

    def __init__(
        self,
        recipe: Recipe,
        rollout_ids: list[str],
        group_ids: list[str],
        store: OutcomeStore,
        *,
        floors: Mapping[int, float],
        seconds: float,
        kept: CarriedState = NOTHING_KEPT,
        step: int | None = None,
        partial: bool = False,
        inputs: Mapping[str, list[Any]] | None = None,
    ) -> None:
        shape = (store.rows, store.width)
        self.recipe = recipe
        self.rollout_ids = rollout_ids
        self.group_ids = group_ids
        self.columns = recipe.columns
        self.outcomes: NDArray[np.uint8] = np.frombuffer(store.state, np.uint8).reshape(shape)
        self.scores: FloatArray = np.frombuffer(store.scores, np.float64).reshape(shape)
        self.code_numbers: IntArray = np.frombuffer(store.codes, np.int32).reshape(shape)
        self.code_names = tuple(store.code_names)
        self.party_numbers: NDArray[np.uint8] = np.frombuffer(store.parties, np.uint8).reshape(shape)
        self.versions: tuple[tuple[VerifierId, ...], ...] = tuple(tuple(v.values()) for v in store.versions)
        self.seconds = seconds
        self._store = store
        self._floors = dict(floors)
        self._estimator = kept.estimator
        self._step = step
        self._partial = partial
        self._inputs = dict(inputs or {})
        self._window = kept.window
        self._counted: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._aspects: dict[int, Mapping[str, FloatArray]] = {}

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], recipe: Recipe, store: OutcomeStore, **details: Any) -> ScoreTable:
        """The table of a settled store; ``details`` are the constructor's other arguments."""
        if (inputs := details.pop("inputs", None)) is None:
            inputs = values_of(recipe.plan, rollouts, strict=False)
        ids = [rollout.rollout_id for rollout in rollouts]
        return cls(recipe, ids, [rollout.group_id for rollout in rollouts], store, inputs=inputs, **details)

    def __len__(self) -> int:
        return len(self.rollout_ids)

    def __repr__(self) -> str:
        return f"<ScoreTable of {len(self)} rollouts, rewards {', '.join(self.columns)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what stays in the process that trains: the estimator with its state, and earlier batches."""
        return {**self.__dict__, "_estimator": None, "_window": None}

    @property
    def recipe_now(self) -> Recipe:
        """The recipe as it is at the table's step: see `Recipe.at`."""
        return self.recipe.at(self._step or 0)

    @property
    def valid(self) -> BoolArray:
        """``[N, R]`` cells that hold a score."""
        valid: BoolArray = self.outcomes == Outcome.VERDICT
        return valid

    @property
    def asked(self) -> BoolArray:
        """``[N, R]`` cells that the recipe asks for."""
        is_asked: BoolArray = self.outcomes != Outcome.NOT_ASKED
        return is_asked

    @property
    def codes(self) -> NDArray[np.str_]:
        """``[N, R]`` code of each cell: what was found, why there is no score, or ``not_asked``."""
        return np.array(self.code_names)[self.code_numbers]

    @property
    def parties(self) -> NDArray[np.str_]:
        """``[N, R]`` whose failure each fault is: dataset, service, upstream or caller; empty elsewhere."""
        return np.array(PARTIES)[self.party_numbers]

    @cached_property
    def _times(self) -> Times:
        return read_times(self._store.sources, self._store.places)

    @cached_property
    def queue_seconds(self) -> FloatArray:
        """``[N, R]`` time each item waited at its server."""
        return seconds(self._times.queue_us).reshape(self.scores.shape)

    @cached_property
    def run_seconds(self) -> FloatArray:
        """``[N, R]`` time each item ran."""
        return seconds(self._times.run_us).reshape(self.scores.shape)

    @cached_property
    def cpu_seconds(self) -> FloatArray:
        """``[N, R]`` processor time of each item's own work."""
        return seconds(self._times.cpu_us).reshape(self.scores.shape)

    @cached_property
    def cached(self) -> BoolArray:
        """``[N, R]`` whether the verdict came from a cache."""
        return np.frombuffer(self._times.cached, np.uint8).reshape(self.scores.shape).astype(np.bool_)

    def column(self, reward: str) -> int:
        """Position of a reward.

        Raises:
            KeyError: the recipe has no such reward.
        """
        if reward not in self.columns:
            raise KeyError(f"no reward {reward!r}; the recipe has {', '.join(self.columns)}")
        return self.columns.index(reward)

    def aspect(self, reward: str | int, name: str) -> FloatArray:
        """``[N]`` one aspect of a reward's verdicts, such as ``tests`` of ``code``; NaN where there is none.

        Args:
            reward: name or position of the reward.
            name: of the aspect.
        """
        column = self.column(reward) if isinstance(reward, str) else reward
        columns, names = self.aspects(column), self._store.aspects[column].names
        if name in columns:
            return columns[name]
        return np.frombuffer(read_aspects(self._sources(column), names, [name])[name], np.float64)

    def aspects(self, reward: str | int) -> Mapping[str, FloatArray]:
        """``[N]`` each aspect of a reward's verdicts, by its name; where they have more, the first 1,024 of them.

        Args:
            reward: name or position of the reward.
        """
        column = self.column(reward) if isinstance(reward, str) else reward
        if column not in self._aspects:
            names = self._store.aspects[column].names
            values_by_name = read_aspects(self._sources(column), names, names) if names else {}
            self._aspects[column] = {name: np.frombuffer(values, np.float64) for name, values in values_by_name.items()}
        return self._aspects[column]

    @property
    def policy_steps(self) -> FloatArray:
        """``[N]`` step of the policy that wrote each rollout, ``extra["policy_step"]``, the oldest; NaN if not said."""
        return np.array(self._inputs.get(POLICY_STEPS, [None] * len(self)), np.float64)

    def spent(self, reward: str | int) -> ModelUsage:
        """Calls, tokens and price of the models that a reward's items asked, by its name or position, faults too."""
        column = self.column(reward) if isinstance(reward, str) else reward
        return read_spent([] if column in self.recipe.read_columns else self._sources(column))

    def _sources(self, column: int) -> list[Any]:
        return [self._store.sources[row * len(self.columns) + column] for row in range(len(self))]

    def cell(self, row: int, reward: str | int) -> Cell:
        """Everything said of one reward of one rollout.

        Args:
            row: position of the rollout.
            reward: name or position of the reward.
        """
        column = self.column(reward) if isinstance(reward, str) else reward
        return read_cell(self._store, row * len(self.columns) + column, self._store.aspects[column].names)

    def shed(self) -> None:
        """Forget evidence, feedback, notes and steps, most of a large table; what the method reads is kept."""
        self._inputs |= evidence_of(self, self._inputs)
        self._store.shed()
        for name in ("_times", "queue_seconds", "run_seconds", "cpu_seconds", "cached", "combined", "mask", "rewards"):
            self.__dict__.pop(name, None)  # made again where they are asked for

    # Rewards and advantages

    @cached_property
    def combined(self) -> Combined:
        """Rewards, and what each score contributed.

        Raises:
            IncompleteBatchError: more scores are missing than the recipe tolerates, or one under a code that aborts.
        """
        from trainer_client.signals import MissingScoreError, combine

        try:
            combined = combine(
                self.scores,
                self.valid,
                self.recipe_now.terms(self._floors),
                codes=self.code_numbers,
                code_names=self.code_names,
                asked=self.asked,
                groups=self.group_ids,
                max_missing=1.0,
            )
        except MissingScoreError as error:
            raise IncompleteBatchError(f"{error}{self._first_message()}", self) from error
        needed, missing = self._missing_of(combined)
        share = missing / np.maximum(needed, 1)
        if bool((share > self.recipe.max_missing).any()):
            column = int(np.argmax(share))
            lately = " lately" if needed[column] > combined.needed[column] else ""
            raise IncompleteBatchError(
                f"{self.columns[column]!r}: {share[column]:.1%} of its scores are missing ({missing[column]} of "
                f"{needed[column]}{lately}), more than max_missing = {self.recipe.max_missing:.1%}. Repair its source "
                f"before training on, or raise max_missing{self._first_message(column)}",
                self,
            )
        return combined

    def _missing_of(self, combined: Combined) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``[R]`` scores needed and missing, by which it is judged whether too many are; counted and told of once."""
        if self._counted is None:
            own = combined.needed, combined.missing
            for column in self._window.newly_gone(*own) if self._window is not None else ():
                words = self._first_message(column)
                logger.warning("%r: none of %d scores is there%s", self.columns[column], own[0][column], words)
            self._counted = own if self._window is None else self._window.add(*own)
        return self._counted

    def _first_message(self, column: int | None = None) -> str:
        """What the first fault said, of a reward where it has one, since an error about many should show one."""
        faults = np.argwhere(self.outcomes == Outcome.FAULT)
        if not len(faults):
            return ""
        faults = faults[faults[:, 1] == column] if column in faults[:, 1] else faults
        row, column = (int(i) for i in faults[0])
        cell = self.cell(row, column)
        return f". First fault: {self.rollout_ids[row]!r}, {self.columns[column]}: {cell.code}: {cell.message}"

    @cached_property
    def mask(self) -> BoolArray:
        """``[N]`` rollouts that have a reward. One that no reward is asked of has none."""
        mask: BoolArray = self.combined.valid & self.asked.any(axis=1)
        return mask

    @cached_property
    def rewards(self) -> FloatArray:
        """``[N]`` rewards; NaN where the mask is False."""
        return np.where(self.mask, self.combined.rewards, np.nan)

    @cached_property
    def signal(self) -> Signal:
        """What the recipe's ``advantage`` setting makes of the rewards: see `estimate`."""
        return self.estimate()

    def estimate(self, **inputs: Any) -> Signal:
        """Apply the recipe's ``advantage`` setting.

        A method with state goes one step further with each call.

        Args:
            inputs: what the method needs beyond what the recipe's ``inputs`` and the rollouts supply; by the names of
                ``signals.INPUTS``. One that it does not read is refused.

        Raises:
            IncompleteBatchError: see `combined`.
            RecipeError: the recipe has no ``advantage``.
            StateError: the method keeps state, and the table was pickled before its signal was computed.
            SignalError: the method needs an input that is not there, or the whole batch where this is a part.
        """
        return signal_of(self, self._estimator, self._inputs, inputs, step=self._step, partial=self._partial)

    @cached_property
    def advantages(self) -> FloatArray:
        """``[N]`` advantages; 0 where the mask is False.

        Raises:
            IncompleteBatchError: see `combined`.
            RecipeError: the recipe's method gives no advantage per rollout.
        """
        advantages = self.signal.advantages
        if advantages is None:
            raise RecipeError("the method gives no advantage per rollout; read the table's signal", "advantage")
        return advantages

    @property
    def weights(self) -> FloatArray:
        """``[N]`` factor of each rollout in the loss; 0 where it has no reward or was not selected."""
        return self.signal.weights

    def summary(self) -> Summary:
        """Figures per reward and for the batch."""
        from trainer_client.result.summarise import summarise

        try:
            return summarise(self, self.rewards, self.mask)
        except IncompleteBatchError as error:
            return summarise(self, incomplete=str(error))

    @classmethod
    def concat(cls, tables: Sequence[ScoreTable]) -> ScoreTable:
        """One table of several of the same recipe, such as those a stream yields.

        The rewards and advantages are computed again, over all of them.

        Raises:
            ValueError: there is none, or their recipes differ.
        """
        if not tables:
            raise ValueError("no tables to join; the recipe of an empty one would be unknown")
        first = tables[0]
        if any(table.recipe != first.recipe for table in tables):
            raise ValueError("the tables are of different recipes; their columns do not fit together")
        return cls(
            first.recipe,
            [rollout_id for table in tables for rollout_id in table.rollout_ids],
            [group_id for table in tables for group_id in table.group_ids],
            OutcomeStore.joined([table._store for table in tables]),
            floors={column: floor for table in tables for column, floor in table._floors.items()},
            seconds=max(table.seconds for table in tables),
            kept=CarriedState(first._estimator),
            step=first._step,
            inputs=joined([table._inputs for table in tables], [len(table) for table in tables]),
        )
