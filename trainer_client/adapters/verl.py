"""verl: a recipe as ``compute_score``, as a reward manager of the reward loop, and its methods as ``adv_estimator``.

    # rewards.py
    from trainer_client.adapters.verl import compute_score_of, register_advantages

    compute_score = compute_score_of("recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)

    reward.custom_reward_function.path=rewards.py        # or pkg://my_package.rewards

verl hands over single samples, from many workers; all of a process travel together. What it returns has the same keys
for every sample, as verl takes the keys of the first for all. A sample without a reward is an error; or the stated
number, with ``valid`` 0; or, with ``on_missing="none"``, not a number: the advantages that are registered here leave
such a row out of its group and give it 0, verl's own would spoil the group, and its metrics say nan for such a step.
Checked with verl 0.9.1.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client import Endpoints, RecipeError
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.singles import RecipeLike, SingleReward, SingleScorer, rollout_of_sample

_INTERNAL = ("num_turns", "rollout_reward_scores")


def compute_score_of(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Make the ``compute_score`` of a recipe.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe. The task of a sample is its
            ``data_source``.
        endpoints: where the servers are; a client knows.
        on_missing: what a sample without a reward becomes. ``"none"`` is nan, for use with `register_advantages`.
        max_missing: share of the latest samples without a reward from which an error is raised.

    Returns:
        A coroutine function. Its answer holds ``score``, which is trained on, ``valid``, and the score of each reward,
        for ``algorithm.gdpo_reward_keys`` and the logs.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
    """
    scorer = SingleScorer(
        recipe,
        endpoints,
        on_missing=on_missing,
        max_missing=max_missing,
        method_remedy=" and give it to register_advantages(), for algorithm.adv_estimator=assay_NAME",
    )

    async def compute_score(
        data_source: Any, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        info = {key: value for key, value in (extra_info or {}).items() if key not in _INTERNAL}
        rollout = rollout_of_sample(
            info.get("prompt") or info.get("question") or "",
            solution_str,
            ground_truth,
            task="" if data_source is None else str(data_source),
            metadata=plain(info),
        )
        return _extra_info(await scorer.score_async(rollout))

    return compute_score


def _extra_info(result: SingleReward) -> dict[str, Any]:
    reward = math.nan if result.reward is None else result.reward
    return {"score": reward, "acc": reward, **result.numbers()}


def plain(value: Any) -> Any:
    """A value of a data set as JSON types: numpy's numbers and arrays as numbers and lists, the rest as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def reward_manager_of(compute_score: Callable[..., Awaitable[dict[str, Any]]]) -> type[Any]:
    """Make a reward manager of verl's reward loop that asks ``compute_score`` and sends the prompt along.

    Args:
        compute_score: from `compute_score_of`.

    Returns:
        A class, for ``reward.reward_manager.source=importlib``, ``.name`` and ``.module.path``.
    """
    from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

    class AssayRewardManager(RewardManagerBase):  # type: ignore[misc]
        """Scores a sample by a recipe of assay."""

        def __init__(self, config: Any, tokenizer: Any, *_: Any, **__: Any) -> None:
            super().__init__(config, tokenizer, compute_score)

        async def run_single(self, data: Any) -> dict[str, Any]:
            """Score the last sample of ``data``."""
            item = data[-1]
            width = item.batch["prompts"].shape[-1]
            is_prompt = item.batch["attention_mask"][:width].bool()
            attended = item.batch["attention_mask"][width:].bool()
            info = dict(item.non_tensor_batch.get("extra_info") or {})
            info.setdefault("prompt", self.tokenizer.decode(item.batch["prompts"][is_prompt], skip_special_tokens=True))
            output = await compute_score(
                data_source=item.non_tensor_batch.get("data_source"),
                solution_str=self.tokenizer.decode(item.batch["responses"][attended], skip_special_tokens=True),
                ground_truth=(item.non_tensor_batch.get("reward_model") or {}).get("ground_truth"),
                extra_info=info,
            )
            return {"reward_score": output["score"], "reward_extra_info": output}

    return AssayRewardManager


def register_advantages(names: Sequence[str] | None = None, *, prefix: str = "assay_") -> list[str]:
    """Register methods of ours as ``algorithm.adv_estimator`` of verl, each as ``assay_NAME``.

    A method takes the sum of ``token_level_rewards`` of a row as its reward and ``uid`` as its group. A row whose sum
    is not a number has no reward: it is left out of its group and gets advantage 0. Methods that read more than
    rewards, groups, lengths and the mask are not registered; nor are those with state, which a checkpoint of verl
    would not keep.

    Args:
        names: methods to register; all that fit by default.
        prefix: of the registered names.

    Returns:
        The registered names.

    Raises:
        RecipeError: a name does not fit; the message says what it reads.
    """
    from verl.trainer.ppo.core_algos import register_adv_est

    from trainer_client.adapters.methods import batch_methods, why_not

    fitting = batch_methods()
    chosen_names = list(fitting) if names is None else list(names)
    for name in chosen_names:
        if name not in fitting:
            raise RecipeError(f"{name!r} cannot be verl's adv_estimator: {why_not(name)}", "advantage")
        register_adv_est(prefix + name)(_estimator_of(name))
    return [prefix + name for name in chosen_names]


def _estimator_of(name: str) -> Callable[..., tuple[Any, Any]]:
    def estimate(token_level_rewards: Any, response_mask: Any, index: Any = None, **_: Any) -> tuple[Any, Any]:
        import torch

        from trainer_client.adapters.methods import advantages_of

        with torch.no_grad():
            mask = response_mask.to(torch.float64)
            # All of a row, as verl's own methods sum it: the reward stands at the last token, which a row that ends
            # with what a tool said has masked.
            rewards = token_level_rewards.to(torch.float64).sum(-1).cpu().numpy()
            valid = np.isfinite(rewards)
            if index is None:
                raise RecipeError("verl's batch holds no uid, so it is not known which rows answer one prompt", "uid")
            estimated = advantages_of(name, rewards, list(map(str, index)), valid, response_mask=mask.cpu().numpy())
            values = torch.as_tensor(estimated, device=token_level_rewards.device, dtype=token_level_rewards.dtype)
            advantages = (values if values.ndim == 2 else values[:, None]) * response_mask
            return advantages, advantages

    return estimate
