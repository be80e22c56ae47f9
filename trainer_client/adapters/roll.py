"""ROLL: a recipe as a reward worker.

    # my_workers.py
    from trainer_client.adapters.roll import worker_of

    Rewards = worker_of("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)

    rewards: {math: {worker_cls: my_workers.Rewards, tag_included: [...]}}

ROLL hands over a chunk of a batch, so that siblings may be in another: recipes that read groups are refused. It has no
row that is left out: a rollout without a reward raises, or gets the stated number. Scores are float32, since float16,
in which ROLL's own workers answer, cannot tell 0.9995 from 1, and `scores == 1` counts as correct.
Tested by contract with the sources of August 2026.
"""

from __future__ import annotations

from typing import Any

from trainer_client import Endpoints
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.numbers import means_of
from trainer_client.adapters.singles import RecipeLike, SingleScorer, numeric, rollout_of_sample
from trainer_client.adapters.verl import plain

_ANSWERS = ("ground_truth", "reference", "answer")
_TOKENS = ("prompt", "response", "input_ids", "raw_text_list")


def worker_of(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
) -> type[Any]:
    """Make the class of a worker.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"error"`` or a number.
        max_missing: share of the latest rollouts without a reward from which an error is raised.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
    """
    from roll.distributed.executor.worker import Worker
    from roll.distributed.scheduler.decorator import Dispatch, register
    from roll.distributed.scheduler.protocol import DataProto
    from roll.models.model_providers import default_tokenizer_provider

    scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "ROLL"), max_missing=max_missing)

    class AssayRewardWorker(Worker):  # type: ignore[misc]
        """Scores chunks by a recipe."""

        def __init__(self, worker_config: Any) -> None:
            super().__init__(worker_config=worker_config)
            self.tokenizer = default_tokenizer_provider(model_args=worker_config.model_args)

        @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
        def initialize(self, pipeline_config: Any) -> None:
            """Nothing to prepare: connections are opened at first use."""

        @register(dispatch_mode=Dispatch.DP_MP_COMPUTE, clear_cache=False)  # type: ignore[untyped-decorator]
        def compute_rewards(self, data: Any) -> Any:
            """Score a chunk, in its order."""
            import torch

            responses = self.tokenizer.batch_decode(data.batch["responses"], skip_special_tokens=True)
            prompts = self.tokenizer.batch_decode(data.batch["prompts"], skip_special_tokens=True)
            rollouts = [
                _rollout(prompt, response, {key: column[row] for key, column in data.non_tensor_batch.items()})
                for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True))
            ]
            results = scorer.score_all(rollouts)
            scores = torch.tensor([result.reward for result in results], dtype=torch.float32)
            tokens = torch.zeros(data.batch["responses"].shape, dtype=torch.float32)
            rewards = {"token_level_rewards": tokens, "response_level_rewards": scores, "scores": scores.clone()}
            output = DataProto.from_dict(tensors=rewards)
            means = means_of([result.numbers() for result in results])
            output.meta_info = {"metrics": {f"assay/{name}": value for name, value in means.items()}}
            return output

    return AssayRewardWorker


def _rollout(prompt: str, response: str, row: dict[str, Any]) -> Any:
    metadata = {key: plain(value) for key, value in row.items() if key not in _TOKENS}
    # As it is: what cannot be sent is the row's fault, and no text that an answer is compared with.
    label = next((row[key] for key in _ANSWERS if row.get(key) is not None), None)
    return rollout_of_sample(prompt, response, label, task=str(metadata.get("domain") or ""), metadata=metadata)
