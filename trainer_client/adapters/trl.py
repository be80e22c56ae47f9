"""TRL: a recipe as one reward function of ``GRPOTrainer``.

    from trainer_client.adapters.trl import reward_function

    reward = reward_function("recipe.toml", {"math": "127.0.0.1:50051"})
    trainer = GRPOTrainer(model=..., reward_funcs=reward, ...)

The function returns rewards, after weights and gates, and after the shaping of a recipe whose ``advantage`` only
shapes; TRL makes advantages of them itself. The recipe's own method reaches TRL through `grpo_trainer`, and a recipe
that asks for one other than TRL's is refused here, so that nothing is dropped without a word:

    from trainer_client.adapters.trl import grpo_trainer

    trainer = grpo_trainer("recipe.toml", {"math": "127.0.0.1:50051"}, model=..., args=..., train_dataset=...)

A rollout without a reward is None, which TRL leaves out of its group's statistics where this is the sole reward
function. Beside others it sums what is there, so that None would count as 0, and the first call is refused: put rules
of your own into the recipe, as verifiers, and not into a second reward function; or say what stands for a missing
reward (``on_missing``). When more than ``max_missing`` of the latest rollouts have none, training stops. Checked with
TRL 1.16.

What a rollout consists of:

- prompt and completion, as TRL hands them over: text or messages;
- the reference: the column ``reference``; else an object ``{"answer": ...}`` of the first of the columns ``answer``,
  ``solution``, ``ground_truth`` that exists; or what the argument ``reference`` says. Data sets whose rows differ keep
  objects as JSON texts, which are read, or with None for what a row lacks, which is left out. A text or a number that
  is no object is an answer;
- the columns ``task``, ``metadata`` and ``documents``, where they exist;
- its group: neighbours with equal prompt and reference.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from trainer_client import (
    AsyncRewardClient,
    Endpoints,
    Outcome,
    Recipe,
    RecipeError,
    RewardClient,
    ScoreTable,
    VerifierInfo,
)
from trainer_client.adapters.missing import (
    Breaker,
    MissingRewardError,
    OnMissing,
    check_on_missing,
    refuse_other_tasks,
    refuse_sibling_rules,
)
from trainer_client.adapters.tables import reason_of
from trainer_client.adapters.trl_columns import Columns
from trainer_client.recipe.inputs import refuse_calls
from trainer_client.recipe.state import keeps_state
from trainer_client.signals import Estimator, Pipeline, method_of

_T = TypeVar("_T")
AnyClient: TypeAlias = RewardClient | AsyncRewardClient
RewardFunction: TypeAlias = Callable[..., Awaitable[list[float | None]]]


def reward_function(
    recipe: Recipe | str | os.PathLike[str] | RewardClient | AsyncRewardClient,
    endpoints: Endpoints | None = None,
    *,
    name: str = "",
    reference: str | Mapping[str, str] | None = None,
    task: str = "",
    group_size: int | None = None,
    token_ids: bool = False,
    seed: int = 0,
    on_missing: OnMissing = "none",
    max_missing: float | None = None,
    other_tasks: bool = False,
) -> RewardFunction:
    """Make the reward function of a recipe.

    Args:
        recipe: what to ask, and how the scores combine: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        name: name of the function, under which TRL logs it; the recipe's by default. Must differ between functions
            of one trainer. A function that is assigned to a module's variable of this name can be pickled.
        reference: the column to take the reference from, or a mapping from keys of the reference to columns.
        task: task of every rollout, where the data has no column ``task``.
        group_size: generations per prompt, for recipes with a verifier that judges groups, an optional reward or
            ``drop_group``. Every process must then hold whole groups: ``per_device_train_batch_size`` a multiple of
            ``num_generations``.
        token_ids: whether to send the completions' token ids, for verifiers that count tokens.
        seed: seed of verifiers that draw.
        on_missing: what a rollout without a reward becomes: see `trainer_client.adapters.missing`.
        max_missing: share of the latest rollouts without a reward from which training stops; the recipe's
            ``max_missing`` by default.
        other_tasks: whether the data has tasks that no reward is for, whose rollouts another reward function scores;
            they get None here. An error otherwise, at the first call.

    Returns:
        A coroutine function with the parameters that TRL gives.

    Raises:
        RecipeError: the recipe cannot be used, or the name cannot be that of a function.
        OSError: the recipe's file cannot be read.
    """
    client = _client_of(recipe, endpoints)
    shapes = _shapes_rewards(client.recipe, group_size)
    columns = Columns(reference, task, group_size, token_ids)
    make = _Scorer(client, columns, seed, on_missing, max_missing, other_tasks=other_tasks)

    async def rewards_of(arguments: Mapping[str, Any]) -> list[float | None]:
        table = await make.table(arguments)
        rewards, mask = table.rewards, table.mask
        if shapes:
            _refuse_parts_of_a_batch(client.recipe)
            signal = table.estimate()
            assert signal.rewards is not None  # the method shapes rewards
            rewards, mask = signal.rewards, mask & signal.valid & signal.keep
        return make.told(table, rewards.tolist(), mask.tolist())

    return _named_function(rewards_of, name, client.recipe)


class _Scorer:
    """Scores what TRL hands over, and tells its logs.

    Attributes:
        latest: the table of the latest call.
    """

    def __init__(
        self,
        client: AnyClient,
        columns: Columns,
        seed: int,
        on_missing: OnMissing,
        max_missing: float | None,
        joins: bool = False,
        other_tasks: bool = False,
    ) -> None:
        limit = client.recipe.max_missing if max_missing is None else max_missing
        self._client = client.with_recipe(replace(client.recipe, max_missing=1.0))
        self._columns, self._seed = columns, seed
        self._rule = check_on_missing(on_missing)
        self._breaker = Breaker(limit)
        self._calls = itertools.count()
        self._other_tasks = other_tasks
        self._siblings_checked = joins or columns.group_size is not None
        self._groups_checked = columns.group_size is not None
        self.latest: ScoreTable | None = None

    async def table(self, arguments: Mapping[str, Any]) -> ScoreTable:
        if not self._siblings_checked:
            refuse_sibling_rules(self._client.recipe, "pass group_size=num_generations to reward_function")
            self._siblings_checked = True
        if not self._groups_checked:
            await _refuse_group_verifiers(self._client)
            self._groups_checked = True
        if self._rule == "none" and not self._other_tasks:
            _refuse_beside_others(arguments)
        step = getattr(arguments.get("trainer_state"), "global_step", None)
        label = f"trl-{os.environ.get('RANK', '0')}-{next(self._calls)}"
        rollouts = self._columns.rollouts(label, arguments)
        if not self._other_tasks:
            remedy = ", or pass other_tasks=True where another function scores it"
            refuse_other_tasks(self._client.recipe, {rollout.task for rollout in rollouts}, remedy)
        labels: dict[str, Any] = {"run": self._client.recipe.name, "step": step, "seed": self._seed}
        table = await _waited(self._client.score, rollouts, **labels)
        self._columns.refuse_without_reference(table)
        _log(table, arguments)
        self.latest = table
        return table

    def told(self, table: ScoreTable, rewards: Sequence[float], mask: Sequence[bool]) -> list[float | None]:
        """The rewards, and the rule where there is none."""
        outcome: list[float | None] = []
        for row, (reward, ok) in enumerate(zip(rewards, mask, strict=True)):
            if self._other_tasks and (table.outcomes[row] == Outcome.NOT_ASKED).all():
                outcome.append(None)
                continue
            # What a method leaves out on purpose is no fault.
            missing = not ok and not bool(table.mask[row])
            reason = reason_of(table, row) if missing else ""
            self._breaker.count(missing, reason)
            if missing and self._rule == "error":
                raise MissingRewardError(table.rollout_ids[row], {"reward": reason})
            outcome.append(reward if ok else None if isinstance(self._rule, str) or not missing else self._rule)
        return outcome


def _named_function(
    rewards_of: Callable[[Mapping[str, Any]], Awaitable[list[float | None]]], name: str, recipe: Recipe
) -> RewardFunction:
    title = name or "".join(c if c.isalnum() else "_" for c in recipe.name)
    if not title.isidentifier():
        raise RecipeError(f"{title!r} cannot name a function; pass name=", "name")

    async def reward(**arguments: Any) -> list[float | None]:
        return await rewards_of(arguments)

    reward.__name__ = reward.__qualname__ = title
    # As if it had been defined where it is made: that is how pickle finds a function.
    reward.__module__ = sys._getframe(2).f_globals.get("__name__", __name__)
    return reward


def _shapes_rewards(recipe: Recipe, group_size: int | None) -> bool:
    """Whether the recipe's method makes rewards of rewards.

    Raises:
        RecipeError: it makes advantages, which TRL has no slot for here.
    """
    setting = recipe.advantage
    if setting is None or setting == "grpo":
        return False
    stages = [setting] if isinstance(setting, str | Mapping) else list(setting)
    names = [stage if isinstance(stage, str) else str(stage["name"]) for stage in stages]
    if not all(method_of(name).stage in ("shaping", "combination") for name in names):
        raise RecipeError(
            "TRL makes advantages of the rewards itself; make the trainer with grpo_trainer(), or set "
            'advantage = "none"',
            "advantage",
        )
    estimator = recipe.estimator()
    assert estimator is not None  # it has a method
    _refuse_state(estimator)
    if group_size is None and getattr(estimator, "needs", "row") != "row":
        raise RecipeError("reads groups; pass group_size=num_generations to reward_function", "advantage")
    return True


def _refuse_state(estimator: Estimator | Pipeline) -> None:
    """Refuse a method that remembers earlier steps.

    Raises:
        RecipeError: it does.
    """
    if keeps_state(estimator):
        raise RecipeError(f"{estimator.name} remembers earlier steps, which TRL's checkpoints do not hold", "advantage")


def _refuse_parts_of_a_batch(recipe: Recipe) -> None:
    """Refuse a method that reads the whole batch where each of several processes is handed a part of it.

    Raises:
        RecipeError: there are several.
    """
    processes = int(os.environ.get("WORLD_SIZE") or 1)
    if processes > 1 and getattr(recipe.estimator(), "needs", "row") == "batch":
        raise RecipeError(
            f"reads the whole batch, and TRL hands each of {processes} processes a part of it; train in one process, "
            "or take a method that reads groups",
            "advantage",
        )


def _client_of(recipe: Recipe | str | os.PathLike[str] | AnyClient, endpoints: Endpoints | None) -> AnyClient:
    if not isinstance(recipe, RewardClient | AsyncRewardClient):
        return AsyncRewardClient(recipe, endpoints)
    if endpoints is not None:
        raise RecipeError("the client knows where its servers are; pass endpoints to it", "endpoints")
    return recipe


async def _waited(method: Callable[..., Awaitable[_T] | _T], *arguments: Any, **labels: Any) -> _T:
    """Call a method of a client of either kind; one that waits does so in a thread."""
    if inspect.iscoroutinefunction(method):
        return cast("_T", await method(*arguments, **labels))
    return cast("_T", await asyncio.to_thread(method, *arguments, **labels))


async def _refuse_group_verifiers(client: AnyClient) -> None:
    """Refuse a recipe with a verifier that judges groups, since it is not known how many rollouts a group has."""
    described: Mapping[str, VerifierInfo] = await _waited(client.describe)
    if any(info.judges_groups for info in described.values()):
        raise RecipeError(
            f"recipe {client.recipe.name!r} has a verifier that judges groups; pass group_size=num_generations to "
            "reward_function",
            "rewards",
        )


def _refuse_beside_others(arguments: Mapping[str, Any]) -> None:
    """Refuse to leave rollouts out beside other reward functions, whose sum takes None for 0.

    The function for metrics is a method of TRL's trainer, which knows all of them.

    Raises:
        RecipeError: there are others.
    """
    trainer = getattr(arguments.get("log_metric"), "__self__", None)
    count = len(getattr(trainer, "reward_funcs", None) or ())
    if count > 1:
        raise RecipeError(
            f"TRL sums {count} reward functions, and None counts as 0 there; make the others verifiers of the recipe, "
            'or pass on_missing="error" or a number that you choose',
            "on_missing",
        )


def _log(table: ScoreTable, arguments: Mapping[str, Any]) -> None:
    """Log figures of each reward, and its scores beside the completions."""
    log_metric, log_extra = arguments.get("log_metric"), arguments.get("log_extra")
    if log_metric is not None:
        for reward in table.summary().rewards:
            if reward.mean is not None:
                log_metric(f"assay/{reward.name}/mean", reward.mean)
            log_metric(f"assay/{reward.name}/missing", 1 - reward.scored / max(reward.asked, 1))
            log_metric(f"assay/{reward.name}/run_p99", reward.run_p99)
        for column, name in enumerate(table.columns):
            for aspect in table.versions[column][0].aspects if table.versions[column] else ():
                values = table.aspect(column, aspect)
                if np.isfinite(values).any():
                    log_metric(f"assay/{name}/{aspect}", float(np.nanmean(values)))
    if log_extra is not None:
        for column, name in enumerate(table.columns):
            scores, valid = table.scores[:, column].tolist(), table.valid[:, column].tolist()
            log_extra(name, [score if ok else None for score, ok in zip(scores, valid, strict=True)])
            log_extra(f"{name}/code", table.codes[:, column].tolist())


def grpo_trainer(
    recipe: Recipe | str | os.PathLike[str] | AnyClient,
    endpoints: Endpoints | None = None,
    *,
    reference: str | Mapping[str, str] | None = None,
    task: str = "",
    token_ids: bool = True,
    seed: int = 0,
    max_missing: float | None = None,
    **arguments: Any,
) -> Any:
    """Make a ``GRPOTrainer`` whose advantages are those of the recipe's method.

    The method sees the rollouts of all processes together, each group whole. A rollout without a reward takes no part
    and gets advantage 0. TRL's own settings of advantages (``scale_rewards``, ...) have no effect.

    Args:
        recipe: with ``advantage``: see `reward_function`, as for the next six.
        endpoints: where the servers are.
        reference: where the reference is.
        task: task of every rollout.
        token_ids: whether to send token ids; methods that read lengths count them.
        seed: seed of verifiers that draw.
        max_missing: share of the latest rollouts without a reward from which training stops.
        arguments: of ``GRPOTrainer``, without ``reward_funcs``.

    Raises:
        RecipeError: the recipe cannot be used: it has no method, one that remembers earlier steps, which TRL's
            checkpoints would not hold, or one whose inputs only the caller has.
    """
    from trainer_client.adapters.trl_trainer import make_trainer

    if "reward_funcs" in arguments:
        raise RecipeError("the recipe is the only reward function; make others verifiers of it", "reward_funcs")
    client = _client_of(recipe, endpoints)
    estimator = client.recipe.estimator()
    if estimator is None:
        raise RecipeError("the recipe has none; give GRPOTrainer a reward_function instead", "advantage")
    _refuse_state(estimator)
    assert client.recipe.plan is not None
    refuse_calls(client.recipe.plan)
    size = int(arguments["args"].num_generations)
    # Groups may span processes: their statistics are taken where all of them are together.
    scorer = _Scorer(client, Columns(reference, task, None, token_ids), seed, "none", max_missing, joins=True)

    async def rewards_of(arguments: Mapping[str, Any]) -> list[float | None]:
        table = await scorer.table(arguments)
        return scorer.told(table, table.rewards.tolist(), table.mask.tolist())

    return make_trainer(_named_function(rewards_of, "", client.recipe), lambda: scorer.latest, size, arguments)
