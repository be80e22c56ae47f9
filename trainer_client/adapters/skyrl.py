"""SkyRL: a recipe as an environment of skyrl-gym.

    import skyrl_gym
    from trainer_client.adapters.skyrl import environment_of

    Rewards = environment_of("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)
    skyrl_gym.register(id="assay", entry_point="my_module:Rewards")        # and the column env_class: assay

The reference is ``reward_spec.ground_truth`` of the row. A step without a reward raises, or gets the stated number: a
step's reward must be a number, and SkyRL has no row that is left out. Its metrics leave such steps out.
Checked with skyrl-gym 0.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client import Endpoints
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.numbers import means_of
from trainer_client.adapters.singles import RecipeLike, SingleScorer, numeric, rollout_of_sample


def environment_of(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
) -> type[Any]:
    """Make the class of a single-turn environment.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"error"`` or a number.
        max_missing: share of the latest steps without a reward from which an error is raised.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
    """
    from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

    scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "SkyRL"), max_missing=max_missing)

    class AssayEnv(BaseTextEnv):  # type: ignore[misc]
        """Ends after one answer, which a recipe scores."""

        def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
            super().__init__()
            self._extras = dict(extras or {})
            self._prompt: Any = ""
            self._told: dict[str, float] = {}

        def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
            """Begin; the prompt stays as it is."""
            self._prompt = prompt
            return prompt, {}

        def step(self, action: str) -> Any:
            """Score the answer. May run on any thread."""
            spec = self._extras.get("reward_spec") or {}
            task = str(self._extras.get("data_source") or "")
            result = scorer.score(rollout_of_sample(self._prompt, action, spec.get("ground_truth"), task=task))
            self._told = {"reward": float(result.reward or 0.0), **result.numbers()}
            return BaseTextEnvStepOutput(
                observations=[],
                reward=result.reward,
                done=True,
                metadata=dict(result.numbers()),
                postprocessed_action=None,
            )

        def get_metrics(self) -> dict[str, float]:
            """Scores of the step."""
            return dict(self._told)

        @staticmethod
        def aggregate_metrics(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
            """Means over what is there, and the share of steps without a reward."""
            return _means(metrics)

    return AssayEnv


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means = means_of([{name: value for name, value in metric.items() if name != "reward"} for metric in metrics])
    valid_rewards = [metric["reward"] for metric in metrics if metric.get("valid")]
    missing = {"missing": 1 - len(valid_rewards) / len(metrics)} if metrics else {}
    return missing | ({"reward": sum(valid_rewards) / len(valid_rewards)} if valid_rewards else {}) | means
