"""Trainers that hand over one sample at a time: what their adapters share.

A `SingleScorer` merges samples of all threads, loops and callers of a process into batches, names them after their
content, and applies the one rule for rewards that are missing. It can be made at import, pickled, and used in forked
and spawned processes: connections are opened at first use.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer_client import (
    Endpoints,
    Recipe,
    RecipeError,
    RewardClient,
    Rollout,
    RolloutResult,
    SharedRewardClient,
)
from trainer_client.adapters.fields import content_id, reference_of
from trainer_client.adapters.missing import (
    Breaker,
    OnMissing,
    check_on_missing,
    reasons_of,
    refuse_advantages,
    refuse_group_verifiers,
    refuse_other_tasks,
    refuse_sibling_rules,
    reward_or_rule,
)
from trainer_client.adapters.numbers import Parts, numbers_of, parts_of

RecipeLike = Recipe | str | os.PathLike[str] | RewardClient | SharedRewardClient
_REMEDY = "this trainer hands over single samples; use a recipe without it"


@dataclass(frozen=True, slots=True)
class SingleReward:
    """What became of one sample.

    Attributes:
        reward: its reward, or what the rule says where there is none.
        valid: whether it is a reward.
        result: its scores and codes.
        parts: names of the parts of its verdicts that `numbers` tells, by reward.
    """

    reward: float | None
    valid: bool
    result: RolloutResult
    parts: Parts = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Columns for a trainer's logs: the same keys whatever happened, numbers only: see `numbers_of`."""
        aspects = {name: self.result.aspects(name) for name, names in self.parts.items() if names}
        return numbers_of(self.valid, self.result.scores, aspects, self.parts)


class SingleScorer:
    """Scores single samples by a recipe.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: what a sample without a reward becomes: see `trainer_client.adapters.missing`.
        max_missing: largest share of the latest samples without a reward; beyond it `FaultRateError` is raised.
        method_remedy: where a method goes that the recipe asks for: see `missing.refuse_advantages`.

    Attributes:
        client: asks the servers.
        on_missing: the rule.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
        OSError: the recipe's file cannot be read.
    """

    def __init__(
        self,
        recipe: RecipeLike,
        endpoints: Endpoints | None = None,
        *,
        on_missing: OnMissing = "error",
        max_missing: float = 0.2,
        method_remedy: str = "",
    ) -> None:
        if isinstance(recipe, RewardClient | SharedRewardClient):
            if endpoints is not None:
                raise RecipeError("the client knows where its servers are; pass endpoints to it", "endpoints")
            self.client: RewardClient | SharedRewardClient = recipe
        else:
            self.client = RewardClient(recipe, endpoints)
        refuse_sibling_rules(self.client.recipe, _REMEDY)
        refuse_advantages(self.client.recipe, method_remedy)
        self.on_missing = check_on_missing(on_missing)
        self._breaker = Breaker(max_missing)
        self._parts: Parts | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"client": self.client, "on_missing": self.on_missing, "_breaker": self._breaker}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _parts=None, _lock=threading.Lock())

    def score(self, rollout: Rollout, *, step: int | None = None, seed: int = 0) -> SingleReward:
        """Score one sample, and wait for it.

        Raises:
            MissingRewardError: it has no reward, and the rule is ``"error"``.
            FaultRateError: too many of the latest have none.
            RolloutError: no reward is for its task.
            RewardError: the servers or the recipe cannot be used.
        """
        return self.score_all([rollout], step=step, seed=seed)[0]

    def score_all(self, rollouts: Sequence[Rollout], *, step: int | None = None, seed: int = 0) -> list[SingleReward]:
        """Score samples that came together, each on its own: see `score`."""
        parts = self.parts()
        refuse_other_tasks(self.client.recipe, {rollout.task for rollout in rollouts})
        waiting = [self.client.submit(rollout, step=step, seed=seed) for rollout in rollouts]
        return [self._as_single(future.result(), parts) for future in waiting]

    async def score_async(self, rollout: Rollout, *, step: int | None = None, seed: int = 0) -> SingleReward:
        """Score one sample, on any event loop: see `score`."""
        return (await self.score_all_async([rollout], step=step, seed=seed))[0]

    async def score_all_async(
        self, rollouts: Sequence[Rollout], *, step: int | None = None, seed: int = 0
    ) -> list[SingleReward]:
        """Score samples that came together, each on its own, on any event loop: see `score`."""
        parts = await self.parts_async()
        refuse_other_tasks(self.client.recipe, {rollout.task for rollout in rollouts})
        waiting = [asyncio.wrap_future(self.client.submit(rollout, step=step, seed=seed)) for rollout in rollouts]
        return [self._as_single(result, parts) for result in await asyncio.gather(*waiting)]

    def parts(self) -> Parts:
        """Names of the parts of verdicts that `SingleReward.numbers` tells, by reward; servers are asked once.

        Raises:
            RecipeError: a verifier judges groups: single samples form none.
            RewardError: the servers cannot be used.
        """
        with self._lock:
            if self._parts is None:
                described = self.client.describe()
                refuse_group_verifiers(described, _REMEDY)
                self._parts = parts_of(self.client.recipe, described)
            return self._parts

    async def parts_async(self) -> Parts:
        """The same, on any event loop."""
        return self._parts if self._parts is not None else await asyncio.to_thread(self.parts)

    def _as_single(self, result: RolloutResult, parts: Parts) -> SingleReward:
        missing = result.reward is None
        self._breaker.count(missing, "; ".join(reasons_of(result).values()) if missing else "")
        return SingleReward(reward_or_rule(result, self.on_missing), not missing, result, parts)


def numeric(on_missing: OnMissing, trainer: str) -> OnMissing:
    """The rule, for a trainer that makes a tensor of its rewards.

    Raises:
        RecipeError: it would give None.
    """
    if on_missing == "none":
        raise RecipeError(f'{trainer} cannot leave a sample out; use "error" or a number', "on_missing")
    return on_missing


def rollout_of_sample(
    prompt: Any, response: Any, label: Any, *, task: str = "", metadata: Mapping[str, Any] | None = None, **more: Any
) -> Rollout:
    """A rollout of what single-sample trainers hand over, named after its content.

    Raises:
        RolloutError: a part cannot be used.
    """
    return Rollout(
        content_id(prompt, response, label, task),
        prompt,
        response,
        task=task,
        reference=reference_of(label),
        metadata=metadata,
        **more,
    )
