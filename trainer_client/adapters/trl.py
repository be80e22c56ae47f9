"""TRL: a recipe as one reward function of ``GRPOTrainer``.

    from trainer_client.adapters.trl import reward_function

    reward = reward_function("recipe.toml", {"math": "127.0.0.1:50051"})
    trainer = GRPOTrainer(model=..., reward_funcs=reward, ...)

TRL computes advantages itself, so the function returns rewards, after weights and gates; a rollout without a reward
is None, which TRL leaves out of its group's statistics where this is the sole reward function. Beside others it sums
what is there, so that None counts as 0: put rules of your own into the recipe, as verifiers, and not into a second
reward function. The recipe's ``advantage`` is not used. Checked with TRL 1.16.

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
from typing import Any, TypeAlias, TypeVar, cast

from trainer_client import (
    AsyncRewardClient,
    Document,
    Endpoints,
    Recipe,
    RecipeError,
    RewardClient,
    Rollout,
    RolloutError,
    ScoreTable,
    VerifierInfo,
)
from trainer_client.adapters.fields import ANSWERS, read_cell
from trainer_client.adapters.missing import refuse_sibling_rules

_T = TypeVar("_T")
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

    Returns:
        A coroutine function with the parameters that TRL gives.

    Raises:
        RecipeError: the recipe cannot be used, or the name cannot be that of a function.
        OSError: the recipe's file cannot be read.
    """
    client = _client_of(recipe, endpoints)
    title = name or "".join(c if c.isalnum() else "_" for c in client.recipe.name)
    if not title.isidentifier():
        raise RecipeError(f"{title!r} cannot name a function; pass name=", "name")
    columns = _Columns(reference, task, group_size, token_ids)
    calls = itertools.count()
    checked = False

    async def reward(prompts: Sequence[Any], completions: Sequence[Any], **given: Any) -> list[float | None]:
        nonlocal checked
        if not checked and group_size is None:
            refuse_sibling_rules(client.recipe, "pass group_size=num_generations to reward_function")
            await _refuse_group_verifiers(client)
        checked = True
        step = int(getattr(given.get("trainer_state"), "global_step", 0))
        label = f"trl-{os.environ.get('RANK', '0')}-{next(calls)}"
        rollouts = columns.rollouts(label, prompts, completions, given)
        labels: dict[str, Any] = {"run": title, "step": step, "seed": seed}
        table = await _waited(client.score, rollouts, **labels)
        _log(table, given)
        return [reward if ok else None for reward, ok in zip(table.rewards.tolist(), table.mask.tolist(), strict=True)]

    reward.__name__ = reward.__qualname__ = title
    # As if it had been defined where it is made: that is how pickle finds a function.
    reward.__module__ = sys._getframe(1).f_globals.get("__name__", __name__)
    return reward


def _client_of(
    recipe: Recipe | str | os.PathLike[str] | RewardClient | AsyncRewardClient, endpoints: Endpoints | None
) -> RewardClient | AsyncRewardClient:
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


async def _refuse_group_verifiers(client: RewardClient | AsyncRewardClient) -> None:
    """Refuse a recipe with a verifier that judges groups, since it is not known how many rollouts a group has."""
    described: Mapping[str, VerifierInfo] = await _waited(client.describe)
    if any(info.judges_groups for info in described.values()):
        raise RecipeError(
            f"recipe {client.recipe.name!r} has a verifier that judges groups; pass group_size=num_generations to "
            "reward_function",
            "rewards",
        )


class _Columns:
    """Makes rollouts of the columns of a data set."""

    def __init__(
        self, reference: str | Mapping[str, str] | None, task: str, group_size: int | None, token_ids: bool
    ) -> None:
        self._token_ids = token_ids
        self._reference = reference
        self._task = task
        self._group_size = group_size

    def rollouts(
        self, label: str, prompts: Sequence[Any], completions: Sequence[Any], given: Mapping[str, Any]
    ) -> list[Rollout]:
        references = self._references(len(prompts), given)
        tasks = given.get("task") or [self._task] * len(prompts)
        metadata = given.get("metadata") or [None] * len(prompts)
        documents = given.get("documents") or [()] * len(prompts)
        token_ids = (given.get("completion_ids") if self._token_ids else None) or [()] * len(prompts)
        groups = self._groups(prompts, references)
        return [
            Rollout(
                rollout_id=f"{label}-{row}",
                group_id=f"{label}-g{groups[row]}",
                prompt=prompts[row],
                response=completions[row],
                task=tasks[row],
                reference=references[row],
                metadata=read_cell(metadata[row]),
                token_ids=token_ids[row],
                documents=[d if isinstance(d, Document) else Document(**d) for d in documents[row] or ()],
            )
            for row in range(len(prompts))
        ]

    def _references(self, count: int, given: Mapping[str, Any]) -> Sequence[Any]:
        if isinstance(self._reference, Mapping):
            columns = {key: self._column(column, given) for key, column in self._reference.items()}
            return [{key: values[row] for key, values in columns.items()} for row in range(count)]
        if self._reference is not None or "reference" in given:
            found = [read_cell(value) for value in self._column(self._reference or "reference", given)]
            return [{"answer": value} if isinstance(value, str | int | float) else value for value in found]
        for column in ANSWERS:
            if column in given:
                return [{"answer": value} for value in given[column]]
        return [None] * count

    def _column(self, column: str, given: Mapping[str, Any]) -> Sequence[Any]:
        if column not in given:
            raise RolloutError(f"the data set has no column {column!r}; it has {', '.join(sorted(given))}", "reference")
        values: Sequence[Any] = given[column]
        return values

    def _groups(self, prompts: Sequence[Any], references: Sequence[Any]) -> list[int]:
        size = self._group_size
        if size is not None:
            if len(prompts) % size:
                raise RolloutError(
                    f"{len(prompts)} rows are no whole groups of {size}; make per_device_train_batch_size a multiple "
                    "of num_generations",
                    "group_id",
                )
            return [row // size for row in range(len(prompts))]
        numbers, number = [], 0
        for row in range(len(prompts)):
            if row and (prompts[row] != prompts[row - 1] or references[row] != references[row - 1]):
                number += 1
            numbers.append(number)
        return numbers


def _log(table: ScoreTable, given: Mapping[str, Any]) -> None:
    """Log figures of each reward, and its scores beside the completions."""
    log_metric, log_extra = given.get("log_metric"), given.get("log_extra")
    if log_metric is not None:
        for reward in table.summary().rewards:
            if reward.mean is not None:
                log_metric(f"assay/{reward.name}/mean", reward.mean)
            log_metric(f"assay/{reward.name}/missing", 1 - reward.scored / max(reward.asked, 1))
            log_metric(f"assay/{reward.name}/run_p99", reward.run_p99)
    if log_extra is not None:
        for column, name in enumerate(table.columns):
            scores, valid = table.scores[:, column].tolist(), table.valid[:, column].tolist()
            log_extra(name, [score if ok else None for score, ok in zip(scores, valid, strict=True)])
