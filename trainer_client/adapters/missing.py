"""The one rule of all adapters for a verdict that is missing, and when faults end a run.

A rollout without a reward is what ``on_missing`` says, never a silent 0: ``"error"`` raises `MissingRewardError`,
``"none"`` is None for a trainer that can leave a row out, and a number is that fallback, which every adapter marks as
not valid beside it. `Breaker` raises `FaultRateError` when too many of the latest verdicts are missing, whatever the
rule.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from trainer_client._errors import RecipeError, RewardError, RolloutError
from trainer_client._numbers import is_number

if TYPE_CHECKING:
    from trainer_client.recipe.recipe import Recipe
    from trainer_client.result.rollout_result import RolloutResult
    from trainer_client.result.verifiers import VerifierInfo

OnMissing: TypeAlias = Literal["error", "none"] | float
"""What a rollout without a reward becomes: an error, None, or a stated number."""


class MissingRewardError(RewardError):
    """A rollout has no reward, and the adapter was told to stop there.

    Attributes:
        rollout_id: the rollout.
        reasons: for each reward without a score its code, and what its fault said.
    """

    def __init__(self, rollout_id: str, reasons: dict[str, str]) -> None:
        super().__init__(rollout_id, reasons)
        self.rollout_id = rollout_id
        self.reasons = reasons

    def __str__(self) -> str:
        cause = (
            "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items()) or "no reward applies to its task"
        )
        return f"rollout {self.rollout_id!r} has no reward: {cause}"


class FaultRateError(RewardError):
    """More of the latest verdicts are missing than the adapter tolerates: something is down.

    Attributes:
        share: of the latest rollouts that have no reward.
        limit: the largest share that is tolerated.
    """

    def __init__(self, share: float, limit: float, first: str = "") -> None:
        super().__init__(share, limit, first)
        self.share = share
        self.limit = limit
        self.first = first

    def __str__(self) -> str:
        first = f"; the last one: {self.first}" if self.first else ""
        return (
            f"{self.share:.0%} of the latest rollouts have no reward, more than the {self.limit:.0%} tolerated{first}. "
            "See what is down (`assay health`), or raise max_missing"
        )


class Breaker:
    """Counts missing verdicts among the latest, and stops the run when they are too many.

    Usable from any thread. One fault in a small batch is no rate, so nothing is said before ``min_count`` were counted.

    Args:
        max_missing: largest tolerated share; 1 never stops.
        window: how many of the latest count.
        min_count: how many there must be before a share means something.
    """

    def __init__(self, max_missing: float = 0.2, window: int = 512, min_count: int = 32) -> None:
        if not 0 <= max_missing <= 1:
            raise RecipeError(f"{max_missing} is not a share between 0 and 1", "max_missing")
        self._max_missing = max_missing
        self._min_count = min(min_count, window)
        self._latest: deque[bool] = deque(maxlen=window)
        self._missing = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, float]:
        return {"max_missing": self._max_missing, "window": self._latest.maxlen or 0, "min_count": self._min_count}

    def __setstate__(self, state: dict[str, float]) -> None:
        self.__init__(state["max_missing"], int(state["window"]), int(state["min_count"]))  # type: ignore[misc]

    @property
    def share(self) -> float:
        """Share of the latest that are missing; 0 while they are too few to say."""
        with self._lock:
            return self._missing / len(self._latest) if len(self._latest) >= self._min_count else 0.0

    def count(self, missing: bool, reason: str = "") -> None:
        """Count a rollout.

        Raises:
            FaultRateError: with it, too many are missing.
        """
        with self._lock:
            if len(self._latest) == self._latest.maxlen:
                self._missing -= self._latest[0]
            self._latest.append(missing)
            self._missing += missing
            counted = len(self._latest)
            share = self._missing / counted
        if missing and counted >= self._min_count and share > self._max_missing:
            raise FaultRateError(share, self._max_missing, reason)


def check_on_missing(value: OnMissing) -> OnMissing:
    """The rule, when it is one.

    Raises:
        RecipeError: it is none.
    """
    if value in ("error", "none"):
        return value
    if is_number(value):
        return float(value)
    raise RecipeError(f"{value!r} is neither 'error', 'none' nor a finite number", "on_missing")


def reward_or_rule(result: RolloutResult, rule: OnMissing) -> float | None:
    """The reward of a rollout, or what the rule says in its place.

    Raises:
        MissingRewardError: there is none, and the rule is ``"error"``.
    """
    if result.reward is not None:
        return result.reward
    if rule == "error":
        raise MissingRewardError(result.rollout_id, reasons_of(result))
    return None if rule == "none" else float(rule)


def reasons_of(result: RolloutResult) -> dict[str, str]:
    """Why a rollout has no reward: code and message of each score that it lacks."""
    reasons = {}
    for name, score in result.scores.items():
        if score is None and result.codes[name] != "not_asked":
            message = result.cell(name).message
            reasons[name] = f"{result.codes[name]}: {message}" if message else result.codes[name]
    return reasons


def refuse_other_tasks(recipe: Recipe, tasks: Iterable[str], remedy: str = "") -> None:
    """Refuse a task that no reward is for: its rollouts would never be learned from, and nothing would say so.

    Args:
        recipe: the recipe.
        tasks: tasks of rollouts.
        remedy: what else to do about it than to name the task in a reward.

    Raises:
        RolloutError: there is one; it names the task.
    """
    for task in tasks:
        if not any(reward.applies_to(task) for reward in recipe.rewards):
            raise RolloutError(
                f"no reward of recipe {recipe.name!r} is for task {task!r}; name it in a reward's `tasks`{remedy}",
                "task",
            )


def refuse_advantages(recipe: Recipe, remedy: str = "") -> None:
    """Refuse a recipe that asks for a method, where the trainer makes advantages by itself and would ignore it.

    Args:
        recipe: the recipe; ``grpo``, which it has unless it says otherwise, asks for nothing.
        remedy: where the method goes instead, in the words of the one who calls.

    Raises:
        RecipeError: it asks for another method.
    """
    if recipe.advantage not in (None, "grpo"):
        raise RecipeError(
            f'the trainer makes advantages by itself and would ignore this one; set advantage = "none"{remedy}',
            "advantage",
        )


def refuse_group_verifiers(described: Mapping[str, VerifierInfo], remedy: str) -> None:
    """Refuse verifiers that judge groups, where a rollout comes without its siblings.

    Args:
        described: what the servers say of each reward's verifier.
        remedy: what to do about it, in the words of the one who calls.

    Raises:
        RecipeError: there is one; it names the reward.
    """
    for name, info in described.items():
        if info.judges_groups:
            raise RecipeError(f"{info.id.name} judges groups; {remedy}", f"rewards.{name}")


def refuse_sibling_rules(recipe: Recipe, remedy: str) -> None:
    """Refuse a recipe in which one rollout's reward depends on its siblings, where they may be elsewhere.

    Args:
        recipe: the recipe.
        remedy: what to do about it, in the words of the one who calls.

    Raises:
        RecipeError: a score that is missing drops the group, or is replaced by the group's mean.
    """
    for reward in recipe.rewards:
        dropping = "drop_group" in reward.on_missing.values()
        # A monitor changes no reward, whatever is missing of it.
        if dropping or (not reward.required and not reward.is_monitor):
            rule = "drops the group of a rollout without a score" if dropping else "is optional, the mean of its group"
            raise RecipeError(f"{rule}, and a part of a group may be elsewhere; {remedy}", f"rewards.{reward.name}")
