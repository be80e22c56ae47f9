"""NeMo-RL: a recipe as an environment.

    # my_env.py
    import ray
    from trainer_client.adapters.nemo_rl import environment_of

    Rewards = ray.remote(max_restarts=-1, max_concurrency=1000)(
        environment_of("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)
    )

Register it with ``register_env`` and in ``ACTOR_ENVIRONMENT_REGISTRY``. The reference is
``metadata[i]["ground_truth"]``. A rollout without a reward raises, or gets the stated number: NeMo-RL has no row that
is left out, so that the number takes part in its group's baseline. Its metrics (`global_post_process_and_metrics`)
leave such rollouts out, and count them. An HTTP alternative is the NeMo Gym face of ``assay gateway``. Tested by
contract with the sources of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client import Endpoints, Recipe, RecipeError
from trainer_client.adapters.fields import equal_lengths, text_of
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.numbers import means_of
from trainer_client.adapters.singles import RecipeLike, SingleReward, SingleScorer, numeric, rollout_of_sample

NUMBERS = "assay"
"""Key in a rollout's metadata: its scores and the parts of its verdicts."""


def environment_of(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
    components: bool = False,
) -> type[Any]:
    """Make the class of an environment, to be wrapped by ``ray.remote``.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"error"`` or a number.
        max_missing: share of the latest rollouts without a reward from which an error is raised.
        components: whether rewards come apart, as ``reward/NAME``, for GDPO. All environments of a run must agree.

    Raises:
        RecipeError: the recipe cannot be used for single rollouts; or ``components`` of one with a gate or a weight.
    """
    from nemo_rl.environments.interfaces import EnvironmentInterface, EnvironmentReturn

    scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "NeMo-RL"), max_missing=max_missing)
    _refuse_what_is_lost(scorer.client.recipe, components=components)

    class AssayEnvironment(EnvironmentInterface):  # type: ignore[misc]
        """Ends after one answer, which a recipe scores."""

        def __init__(self, config: Mapping[str, Any] | None = None) -> None:
            self.config = dict(config or {})

        def step(self, message_log_batch: Sequence[Any], metadata: Sequence[Any]) -> Any:
            """Score a batch of conversations; it may hold one."""
            import torch

            equal_lengths(message_log_batch=message_log_batch, metadata=metadata)
            rollouts = [_rollout(log, info or {}) for log, info in zip(message_log_batch, metadata, strict=True)]
            results = scorer.score_all(rollouts)
            rewards: Any = torch.tensor([result.reward for result in results], dtype=torch.float32)
            if components:
                columns = _columns(results, scorer.client.recipe.columns, on_missing)
                rewards = {name: torch.tensor(values, dtype=torch.float32) for name, values in columns.items()}
            return EnvironmentReturn(
                observations=[{"role": "environment", "content": _reward_text(result)} for result in results],
                metadata=[_noted(info or {}, result) for info, result in zip(metadata, results, strict=True)],
                next_stop_strings=[None] * len(results),
                rewards=rewards,
                terminateds=torch.ones(len(results), dtype=torch.bool),
                answers=None,
            )

        def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
            """Means over rollouts that have a reward."""
            return batch, _means(batch)

        def shutdown(self) -> None:
            """Close the connections."""
            scorer.client.close()

    return AssayEnvironment


def _noted(info: Mapping[str, Any], result: SingleReward) -> dict[str, Any]:
    return {**info, "assay_valid": result.valid, NUMBERS: result.numbers()}


def _reward_text(result: SingleReward) -> str:
    return f"reward {result.reward:g}" if result.valid else "no reward"


def _columns(results: Sequence[SingleReward], names: Sequence[str], rule: OnMissing) -> dict[str, list[float]]:
    """Scores by reward, with what is stated for a missing one."""
    filler = 0.0 if isinstance(rule, str) else rule
    scores = {name: [result.result.scores[name] for result in results] for name in names}
    return {
        f"reward/{name}": [filler if value is None else value for value in column] for name, column in scores.items()
    }


def _means(batch: Any) -> dict[str, float]:
    """The share of rollouts without a reward, the mean of the others', and means of scores and parts of verdicts."""
    infos = batch.get("extra_env_info") or []
    valid = [bool((info or {}).get("assay_valid", True)) for info in infos]
    rewards = [float(reward) for reward in batch["total_reward"]]
    valid = valid if len(valid) == len(rewards) else [True] * len(rewards)
    valid_rewards = [reward for reward, ok in zip(rewards, valid, strict=True) if ok]
    missing = 1 - len(valid_rewards) / len(rewards) if rewards else 0.0
    means = means_of([info[NUMBERS] for info in infos if (info or {}).get(NUMBERS)])
    return (
        {"missing": missing} | ({"accuracy": sum(valid_rewards) / len(valid_rewards)} if valid_rewards else {}) | means
    )


def _rollout(log: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> Any:
    """A rollout of a conversation: what the assistant wrote is one text, as NeMo-RL's own environments read it."""
    prompt = [
        {"role": message["role"], "content": message["content"]}
        for message in log
        if message["role"] in ("system", "user")
    ]
    response = "".join(text_of(message["content"], "response") for message in log if message["role"] == "assistant")
    kinds = (str, int, float, bool, list, dict)
    metadata = {key: value for key, value in info.items() if isinstance(value, kinds) and key != NUMBERS}
    return rollout_of_sample(
        prompt, response, info.get("ground_truth"), task=str(info.get("task") or ""), metadata=metadata or None
    )


def _refuse_what_is_lost(recipe: Recipe, *, components: bool) -> None:
    """Refuse gates and weights where rewards come apart: GDPO adds them up as they are.

    Raises:
        RecipeError: a reward has one; it names the key.
    """
    for reward in recipe.rewards if components else ():
        if reward.gate is not None:
            raise RecipeError("closes the others, which GDPO adds up all the same", f"rewards.{reward.name}.gate")
        if reward.weight != 1.0:
            raise RecipeError("is lost: GDPO takes each reward once; set 1", f"rewards.{reward.name}.weight")
