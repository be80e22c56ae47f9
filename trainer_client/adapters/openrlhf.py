"""OpenRLHF: a recipe as the file that ``--reward.remote_url`` names.

    # rewards.py; run with --reward.remote_url rewards.py --data.label_key answer
    from trainer_client.adapters.openrlhf import reward_function

    reward_func = reward_function("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)

OpenRLHF logs an exception of the function at info level and leaves the reward None; where that is the first sample of
a step, the step fails. A number for ``on_missing`` keeps the run going, and ``valid`` in its logs tells the share of
rewards that are none. It has no row that is left out: such a sample takes part in the group's mean. Checked with
OpenRLHF 0.11.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer_client import Endpoints, RolloutError
from trainer_client.adapters.fields import ENDS, equal_lengths, response_of
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.singles import RecipeLike, SingleScorer, numeric, rollout_of_sample


def reward_function(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
    ends: Sequence[str] = ENDS,
) -> Callable[..., dict[str, Any]]:
    """Make the ``reward_func`` of a recipe.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: what a sample without a reward becomes; ``"none"`` is refused, since OpenRLHF makes a tensor of it.
        max_missing: share of the latest samples without a reward from which the function raises.
        ends: marks at the end of a response that are no part of it.

    Raises:
        RecipeError: the recipe cannot be used.
    """
    scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "OpenRLHF"), max_missing=max_missing)

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        if labels is None:
            labels = [None] * len(queries)
        equal_lengths(queries=queries, prompts=prompts, labels=labels)
        if not queries:
            return {"rewards": [], "scores": [], "extra_logs": {}}
        rollouts = []
        for query, prompt, label in zip(queries, prompts, labels, strict=True):
            response = response_of(query, prompt, ends)
            if response is None:
                raise RolloutError("the query does not hold the prompt whole (was it cut to max_len?)", "queries")
            rollouts.append(rollout_of_sample(prompt, response, label))
        results = scorer.score_all(rollouts)
        rewards = [result.reward for result in results]
        logs = [result.numbers() for result in results]
        return {
            "rewards": rewards if len(rewards) > 1 else rewards[0],
            "scores": rewards if len(rewards) > 1 else rewards[0],
            "extra_logs": {name: [log[name] for log in logs] if len(logs) > 1 else logs[0][name] for name in logs[0]},
        }

    return reward_func
