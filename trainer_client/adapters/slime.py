"""slime: a recipe as ``--custom-rm-path``, and its advantages as ``--custom-reward-post-process-path``.

    # my_rewards.py
    from trainer_client.adapters.slime import custom_rm_of, post_process_of

    custom_rm = custom_rm_of("recipe.toml", {"math": "127.0.0.1:50051"})
    post_process = post_process_of("grpo")

    --custom-rm-path my_rewards.custom_rm --custom-reward-post-process-path my_rewards.post_process

The same function serves single samples and whole groups (``--group-rm``, and generate functions that return several). A
sample without a reward, under ``on_missing="none"``, is marked (``remove_sample``, and ``assay_valid`` in its
metadata): slime keeps it out of the loss, and `post_process_of` out of its group's mean, which slime's own
post-processing does not. Tested by contract with the sources of August 2026.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from trainer_client import Endpoints, RecipeError, Rollout
from trainer_client.adapters.fields import read_cell
from trainer_client.adapters.methods import advantages_of, check_method
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.singles import RecipeLike, SingleReward, SingleScorer, rollout_of_sample

VALID = "assay_valid"
"""Key in a sample's metadata: whether its reward is one."""
_BY_GROUP = ("grpo", "gspo", "cispo", "reinforce_plus_plus_baseline")
"""Estimators before which slime takes the mean of a group off its rewards, where they are to be normalised."""
NUMBERS = "assay"
"""Key in a sample's metadata: its scores and the parts of its verdicts, for a log function of one's own."""


def custom_rm_of(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "none",
    max_missing: float = 0.2,
) -> Callable[..., Awaitable[Any]]:
    """Make the ``custom_rm`` of a recipe.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"none"`` marks a sample without a reward, to be left out (its reward is 0.0, which slime needs as
            a number); ``"error"`` ends the run; a number is the reward.
        max_missing: share of the latest samples without a reward from which the run ends.

    Returns:
        A coroutine function that gives a number, or with ``--reward-key`` an object that holds it beside all scores.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
    """
    scorer = SingleScorer(
        recipe,
        endpoints,
        on_missing=on_missing,
        max_missing=max_missing,
        method_remedy=" and give it to post_process_of()",
    )

    async def custom_rm(args: Any, sample: Any, **_: Any) -> Any:
        samples = sample if isinstance(sample, list) else [sample]
        if scorer.on_missing == "none":
            _refuse_own_mean(args)
        rewards = await scorer.score_all_async([_rollout(sample) for sample in samples], step=_step(args, samples))
        answers = [_answer(args, sample, reward) for sample, reward in zip(samples, rewards, strict=True)]
        return answers if isinstance(sample, list) else answers[0]

    return custom_rm


def _refuse_own_mean(args: Any) -> None:
    """Refuse to mark samples that slime's own mean of a group would count, with 0.0 as their reward.

    Raises:
        RecipeError: slime normalises rewards itself.
    """
    estimator = getattr(args, "advantage_estimator", None)
    if (
        estimator in _BY_GROUP
        and getattr(args, "rewards_normalization", False)
        and not getattr(args, "custom_reward_post_process_path", None)
    ):
        raise RecipeError(
            f"slime's own mean of a group ({estimator}) counts the 0.0 of a sample that has no reward; give "
            '--custom-reward-post-process-path a hook of post_process_of(), or set "error" or a number that you choose',
            "on_missing",
        )


def _rollout(sample: Any) -> Rollout:
    metadata = {key: value for key, value in (sample.metadata or {}).items() if key not in (VALID, NUMBERS)}
    reason = getattr(getattr(sample, "status", None), "value", "")
    return rollout_of_sample(
        sample.prompt,
        sample.response,
        read_cell(sample.label),
        task=str(metadata.get("task") or ""),
        metadata=metadata or None,
        finish_reason="length" if reason == "truncated" else "stop" if reason == "completed" else "",
    )


def _step(args: Any, samples: Sequence[Any]) -> int | None:
    """The training step, where slime tells it: ``rollout_id`` of the samples or of the arguments; never a made-up 0."""
    ids = {getattr(sample, "rollout_id", None) for sample in samples} - {None}
    step = ids.pop() if len(ids) == 1 else getattr(args, "rollout_id", None)
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


def _answer(args: Any, sample: Any, single: SingleReward) -> Any:
    key, numbers = getattr(args, "reward_key", None), single.numbers()
    # With a key the numbers are in the reward, else only the metadata has a place for them.
    sample.metadata = {**(sample.metadata or {}), VALID: single.valid, **({} if key else {NUMBERS: numbers})}
    reward = single.reward
    if reward is None:
        sample.remove_sample, reward = True, 0.0
    return {key: reward, **numbers} if key else reward


def post_process_of(method: str = "grpo") -> Callable[[Any, Sequence[Any]], tuple[list[float], list[float]]]:
    """Make the post-processing hook: advantages by a method of ours, without samples that have no reward.

    Args:
        method: one of `trainer_client.adapters.methods.batch_methods` that gives a number per rollout.

    Returns:
        A function ``(args, samples) -> (raw rewards, advantages)``.

    Raises:
        RecipeError: slime's hook cannot serve the method.
    """
    check_method(method, "slime's hook", per_token=False)

    def post_process(args: Any, samples: Sequence[Any]) -> tuple[list[float], list[float]]:
        key = getattr(args, "reward_key", None)
        raw = np.array([float(sample.reward[key] if key else sample.reward) for sample in samples])
        valid = np.array([bool((sample.metadata or {}).get(VALID, True)) for sample in samples])
        if any(sample.group_index is None for sample in samples):
            raise RecipeError(
                "a sample has no group_index, so it is not known which samples answer one prompt", "samples"
            )
        lengths = [int(sample.response_length) for sample in samples]
        mask = np.arange(max(lengths, default=0))[None] < np.array(lengths)[:, None]
        advantages = advantages_of(method, raw, [str(sample.group_index) for sample in samples], valid, mask)
        return raw.tolist(), advantages.tolist()

    return post_process
