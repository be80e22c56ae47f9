"""AReaL: a recipe as a ``reward_fn``.

    # my_rewards.py
    from trainer_client.adapters.areal import RecipeReward

    reward = RecipeReward("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)

    workflow = RLVRWorkflow(reward_fn="my_rewards.reward", ...)

AReaL calls it in processes of a pool, gives up after ``timeout_seconds`` (15) and then counts 0, whatever happened. So
a recipe with a longer deadline is refused here: its rewards would become zeros without a word. It tries errors three
times and then raises. Tested by contract with the sources of May 2026, in forked and spawned processes.
"""

from __future__ import annotations

from typing import Any

from trainer_client import Endpoints, RecipeError
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.singles import RecipeLike, SingleScorer, numeric, rollout_of_sample

_MARGIN = 1.0


class RecipeReward:
    """A reward function that can be pickled.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"error"`` or a number.
        max_missing: share of the latest samples of a process without a reward from which an error is raised.
        label: column that holds the reference.
        timeout_seconds: AReaL's, when it was changed.

    Raises:
        RecipeError: the recipe cannot be used for single samples, or its deadlines are longer than AReaL waits.
    """

    def __init__(
        self,
        recipe: RecipeLike,
        endpoints: Endpoints | None = None,
        *,
        on_missing: OnMissing = "error",
        max_missing: float = 0.2,
        label: str = "answer",
        timeout_seconds: float = 15.0,
    ) -> None:
        self._scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "AReaL"), max_missing=max_missing)
        self._label = label
        self.__name__ = "assay_reward"
        for reward in self._scorer.client.recipe.rewards:
            if reward.deadline_s > timeout_seconds - _MARGIN:
                raise RecipeError(
                    f"AReaL waits {timeout_seconds:g} s and then counts 0; set a deadline_s of at most "
                    f"{timeout_seconds - _MARGIN:g}",
                    f"rewards.{reward.name}.deadline_s",
                )

    def __call__(self, prompt: Any, completions: Any, prompt_ids: Any, completion_ids: Any, **data: Any) -> float:
        """Score one sample."""
        if self._label not in data:
            raise RecipeError(f"the data has no column {self._label!r}; it has {', '.join(sorted(data))}", "label")
        result = self._scorer.score(
            rollout_of_sample(prompt, completions, data[self._label], task=str(data.get("task") or ""))
        )
        assert result.reward is not None  # the rule gives a number or raises
        return result.reward
