"""atropos: a recipe as a reward function, and its groups with advantages.

    from trainer_client.adapters.atropos import group_scorer

    score = group_scorer("recipe.toml", {"math": "127.0.0.1:50051"})
    ...
    scored = await score(prompt, completions, reference={"answer": "42"})     # in collect_trajectories
    if scored is None:                                                          # a reward is missing: drop the group
        return None, []
    group["scores"], group["advantages"] = scored.scores, scored.per_token(group["masks"])

The registry's own wrapper turns every exception into zeros, so the recipe is called by the environment and not as one
of its reward functions. atropos has no row that is left out and asks for groups of a fixed size: a group in which a
reward is missing is dropped, or kept whole with the stated number. Checked with atroposlib 0.4.0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer_client import AsyncRewardClient, Endpoints, Recipe, Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of
from trainer_client.adapters.methods import advantages_of, check_method
from trainer_client.adapters.missing import (
    Breaker,
    MissingRewardError,
    OnMissing,
    check_on_missing,
    refuse_other_tasks,
)
from trainer_client.adapters.numbers import means_of
from trainer_client.adapters.tables import PartsOnce, numbers_of_row, reason_of, tolerant


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """The rewards of a group.

    Attributes:
        scores: a reward for each completion, or the stated number.
        valid: whether each is a reward.
        advantages: by the method; 0 where there is no reward.
        metrics: means of scores and parts of verdicts, for the environment's ``wandb_log``; the same keys always.
    """

    scores: list[float]
    valid: list[bool]
    advantages: list[float]
    metrics: dict[str, float] = field(default_factory=dict)

    def per_token(self, masks: Sequence[Sequence[int]]) -> list[list[float]]:
        """Advantages as atropos posts them: one for each token, 0 where it is not trained (-100)."""
        return [
            [0.0 if token == -100 else advantage for token in mask]
            for mask, advantage in zip(masks, self.advantages, strict=True)
        ]


def group_scorer(
    recipe: Recipe | str | AsyncRewardClient,
    endpoints: Endpoints | None = None,
    *,
    method: str = "grpo",
    on_missing: OnMissing = "none",
    max_missing: float = 0.2,
) -> Callable[..., Awaitable[ScoredGroup | None]]:
    """Make a function that scores the completions of a prompt.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        method: gives the advantages; one that gives a number per rollout.
        on_missing: ``"none"`` drops a group in which a reward is missing, ``"error"`` raises, a number takes its place.
        max_missing: share of the latest rollouts without a reward from which an error is raised.

    Returns:
        ``async (prompt, completions, reference=..., task=...) -> ScoredGroup``, or None for a group to be dropped.

    Raises:
        RecipeError: the recipe or the method cannot be used.
    """
    check_method(method, "atropos", per_token=False)
    client = recipe if isinstance(recipe, AsyncRewardClient) else AsyncRewardClient(recipe, endpoints)
    scoring = tolerant(client, " and pass method= to group_scorer()")
    declared = PartsOnce(scoring)
    rule, breaker = check_on_missing(on_missing), Breaker(max_missing)

    async def score(
        prompt: Any, completions: Sequence[Any], reference: Any = None, task: str = ""
    ) -> ScoredGroup | None:
        if isinstance(completions, str) or not isinstance(completions, Sequence):
            # The letters of a text would be a group.
            raise RolloutError(f"expected a list of completions, found {type(completions).__name__}", "completions")
        refuse_other_tasks(scoring.recipe, [task])
        gold = reference_of(reference)
        rollouts = [
            Rollout(
                f"{content_id(prompt, completion, gold)}-{n}", prompt, completion, "group", task=task, reference=gold
            )
            for n, completion in enumerate(completions)
        ]
        table = await scoring.score(rollouts)
        parts = await declared.of(table)
        for row, ok in enumerate(table.mask.tolist()):
            breaker.count(not ok, "" if ok else reason_of(table, row))
            if not ok and rule == "error":
                raise MissingRewardError(table.rollout_ids[row], {"reward": reason_of(table, row)})
        if rule == "none" and not table.mask.all():
            return None
        groups = ["group"] * len(rollouts)
        advantages = advantages_of(method, table.rewards, groups, table.mask, np.ones((len(rollouts), 1)))
        filler = 0.0 if isinstance(rule, str) else rule
        scores = np.where(table.mask, table.rewards, filler)
        numbers = means_of([numbers_of_row(table, row, parts) for row in range(len(rollouts))])
        return ScoredGroup(scores.tolist(), table.mask.tolist(), advantages.tolist(), numbers)

    return score
