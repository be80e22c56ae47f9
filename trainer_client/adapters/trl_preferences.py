"""TRL's preference trainers: pairs as rows for ``DPOTrainer``, and a recipe as the reward of ``OnlineDPOTrainer``.

from trainer_client.adapters.trl_preferences import preference_rows

table = client.score(rollouts)          # a recipe whose advantage makes pairs, such as on_policy_pairs
trainer = DPOTrainer(..., train_dataset=Dataset.from_list(preference_rows(rollouts, table)))

Checked with TRL 1.16.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer_client import AsyncRewardClient, Endpoints, Recipe, RecipeError, RewardClient, Rollout, ScoreTable
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.trl import reward_function
from trainer_client.signals import Signal


def preference_rows(
    rollouts: Sequence[Rollout], table: ScoreTable, signal: Signal | None = None
) -> list[dict[str, Any]]:
    """The pairs of a method as rows of a data set for ``DPOTrainer``: one for each pair, in the method's order.

    Args:
        rollouts: what was scored, in any order.
        table: their scores.
        signal: what a method made of the table; that of the table's recipe by default.

    Returns:
        Rows with ``prompt``, ``chosen`` and ``rejected``, in the form that the rollouts have (texts, or messages for
        both responses of a pair and their prompt), and the pair's ``margin`` and ``weight``, which TRL does not read.

    Raises:
        RecipeError: the method makes no pairs, or weighs or softens them in a way that ``DPOTrainer`` has no slot for.
    """
    estimate = table.estimate() if signal is None else signal
    if estimate.pairs is None:
        raise RecipeError('makes no preference pairs; set one that does, such as "on_policy_pairs"', "advantage")
    if any(pair.label != 1.0 for pair in estimate.pairs):
        raise RecipeError(
            "softens its pairs; DPOTrainer has one label_smoothing for all: take the pairs of the signal", "advantage"
        )
    by_id = {rollout.rollout_id: rollout for rollout in rollouts}
    rows = []
    for pair in estimate.pairs:
        chosen, rejected = (by_id[table.rollout_ids[row]] for row in (pair.chosen, pair.rejected))
        rows.append(
            {
                **_alike(chosen.prompt, chosen.response, rejected.response),
                "margin": float(pair.margin),
                "weight": float(pair.weight),
            }
        )
    return rows


def _alike(prompt: Any, chosen: Any, rejected: Any) -> dict[str, Any]:
    """The three as texts, or all as messages where one is: TRL takes no mixture."""
    if all(isinstance(text, str) for text in (prompt, chosen, rejected)):
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {
        "prompt": _messages(prompt, "user"),
        "chosen": _messages(chosen, "assistant"),
        "rejected": _messages(rejected, "assistant"),
    }


def _messages(content: Any, role: str) -> Any:
    return [{"role": role, "content": content}] if isinstance(content, str) else list(content)


def online_dpo_function(
    recipe: Recipe | str | os.PathLike[str] | RewardClient | AsyncRewardClient,
    endpoints: Endpoints | None = None,
    *,
    reference: str | Mapping[str, str] | None = None,
    task: str = "",
    seed: int = 0,
    on_missing: OnMissing = "error",
    max_missing: float | None = None,
) -> Callable[..., list[float | None]]:
    """Make the reward function of ``OnlineDPOTrainer``, which calls it and does not await.

    That trainer takes None for 0, and the pair of a response that could not be judged would be learned from.

    Args:
        recipe: see `trainer_client.adapters.trl.reward_function`, as for all others.
        endpoints: where the servers are.
        reference: where the reference is.
        task: task of every rollout.
        seed: seed of verifiers that draw.
        on_missing: ``"error"``, or the number that a missing reward becomes; not ``"none"``.
        max_missing: share of the latest rollouts without a reward from which training stops.

    Raises:
        RecipeError: the recipe cannot be used, or ``on_missing`` is ``"none"``.
    """
    if on_missing == "none":
        raise RecipeError('OnlineDPOTrainer takes None for 0; use "error", or a number that you choose', "on_missing")
    function = reward_function(
        recipe,
        endpoints,
        reference=reference,
        task=task,
        seed=seed,
        on_missing=on_missing,
        max_missing=max_missing,
    )

    def reward(**arguments: Any) -> list[float | None]:
        return asyncio.run(_result(function, arguments))

    reward.__name__ = reward.__qualname__ = getattr(function, "__name__", "reward")
    return reward


async def _result(function: Callable[..., Any], arguments: Mapping[str, Any]) -> list[float | None]:
    rewards: list[float | None] = await function(**arguments)
    return rewards
