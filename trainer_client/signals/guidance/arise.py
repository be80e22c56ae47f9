"""ARISE: Agent Reasoning with Intrinsic Skill Evolution in Hierarchical RL.

ARISE, Skylanding/ARISE verl/workers/arise/reward.py @2d6f65dd.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Input,
    InputError,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    golden,
    method,
    one_group,
    register,
    require_finite,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("arise", __doc__, provenance="code")

_SKILL_USED = Input("skill_used", "N", "bool", "a skill of the library was in the row's context")

Where = Literal["cache", "reservoir"]


@register(
    "arise",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _SKILL_USED),
    formula="R_i = r_i + bonus * [a skill was used and r_i is right]; then GRPO",
    laws=Laws(options={"warmup": 3}),
)
def arise(
    batch: SignalBatch, *, bonus: float = 1.0, warmup: int = 500, threshold: float = 0.5, eps: float = 1e-6
) -> Signal:
    """ARISE: a right answer found with a skill of the library is worth more; not before the warm-up is over.

    The warm-up counts ``batch.step``; a batch without one is past it.
    """
    earned = batch["skill_used"] & (batch.rewards > threshold)
    cold = batch.step is not None and batch.step <= warmup
    rewards = batch.rewards + (0.0 if cold else bonus) * earned
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, batch.valid, eps=eps))


@register(
    "arise_new_skill",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "helped"),
    formula="right without, wrong with it: -1; wrong both: 0; right both: 0.5; wrong without, right with it: 1",
)
def arise_new_skill(
    batch: SignalBatch, *, values: tuple[float, ...] = (-1.0, 0.0, 0.5, 1.0), threshold: float = 0.5
) -> Signal:
    """ARISE: what a newly written skill is worth, by a rollout that used it against those that did not.

    ``helped`` rows used the skill and get the reward, which is also the skill's first utility in a `SkillLibrary`.
    A prompt without rollouts on both sides says nothing of a skill.
    """
    if len(values) != 4 or any(b <= a for a, b in pairwise(values)):
        raise OptionError(f"values: {values} must be four, rising from harmful to critical")
    helped, right = batch["helped"], batch.rewards > threshold
    plain = batch.valid & ~helped
    level = skill_level(batch.groups.spread(batch.groups.any(plain & right)), right)
    judged = helped & batch.groups.spread(batch.groups.any(plain))
    return batch.signal(keep=judged, rewards=np.where(judged, np.asarray(values)[level.astype(np.int64)], 0.0))


class SkillChoice(NamedTuple):
    """A choice among skills.

    Attributes:
        chosen: position of the skill, or None for no skill.
        probabilities: softmax of the scores.
        gated: whether no skill was likely enough.
    """

    chosen: int | None
    probabilities: FloatArray
    gated: bool


def choose_skill(
    scores: ArrayLike,
    *,
    temperature: float = 1.0,
    confidence: float = 0.35,
    exploration: float = 0.1,
    rng: Generator | None = None,
) -> SkillChoice:
    """The skill that fits a question best, if one fits well enough.

    Args:
        scores: mean log-probability of each skill's text given the question.
        temperature: of the softmax.
        confidence: no skill is used when the best probability is below this.
        exploration: chance of drawing one of them uniformly instead; needs ``rng``.
        rng: source of the draws; None never explores.

    Raises:
        InputError: a score is not finite.
        OptionError: the temperature is not positive.

    Source: ARISE, Skylanding/ARISE verl/workers/arise/skill_manager.py @2d6f65dd.
    """
    if not temperature > 0:
        raise OptionError(f"temperature: {temperature} must be positive")
    score = as_floats("scores", scores, 1)
    require_finite("scores", score)
    if not score.size:
        return SkillChoice(None, score, True)
    raised = np.exp((score - score.max()) / temperature)
    probabilities = raised / raised.sum()
    if probabilities.max() < confidence:
        return SkillChoice(None, probabilities, True)
    if rng is not None and rng.random() < exploration:
        return SkillChoice(int(rng.integers(score.size)), probabilities, False)
    return SkillChoice(int(np.argmax(score)), probabilities, False)


def skill_level(solved_unaided: ArrayLike, solved_aided: ArrayLike) -> FloatArray:
    """What a skill does: 0 harmful, 1 neutral, 2 redundant, 3 critical.

    Args:
        solved_unaided: whether any rollout without the skill was right.
        solved_aided: whether the one with it was.
    """
    without, aided = np.asarray(solved_unaided, np.bool_), np.asarray(solved_aided, np.bool_)
    return np.select([without & ~aided, ~without & ~aided, without & aided], [0.0, 1.0, 2.0], 3.0)


class LibraryChanges(NamedTuple):
    """What one step did to the library."""

    updated: bool
    added: bool
    evicted: str | None
    loaded: str | None
    deleted: tuple[str, ...]


class SkillLibrary(Tracker):
    """Two tiers of skills by utility: a cache that is used and a reservoir that waits.

    Each step: the utility of the skill that was used moves towards the reward; a new skill enters the cache; over
    capacity the cache's worst moves to the reservoir; the reservoir's best is swapped in if it is strictly better than
    the cache's worst; unused skills strictly below a low percentile of the reservoir's utilities are deleted, and it
    is cut to its capacity.

    Args:
        cache_capacity: skills in use.
        reservoir_capacity: skills that wait.
        memory: weight of the old utility.
        percentile: share of the reservoir, by utility, below which an unused skill goes.

    Source: ARISE, Skylanding/ARISE verl/workers/arise/skill_manager.py @2d6f65dd.
    """

    kind = "skill_library"

    def __init__(
        self,
        *,
        cache_capacity: int = 10,
        reservoir_capacity: int = 100,
        memory: float = 0.9,
        percentile: float = 0.10,
    ) -> None:
        if cache_capacity < 1 or reservoir_capacity < 0:
            raise OptionError(f"capacities: {cache_capacity} and {reservoir_capacity} must be at least 1 and 0")
        self.cache_capacity, self.reservoir_capacity = cache_capacity, reservoir_capacity
        self.memory, self.percentile = memory, percentile
        self.cache: dict[str, float] = {}
        self.reservoir: dict[str, float] = {}
        self._uses: dict[str, int] = {}

    def step(
        self,
        used: str | None = None,
        reward: float | None = None,
        *,
        new: str | None = None,
        utility: float = 0.0,
    ) -> LibraryChanges:
        """Take in the outcome of a skill and perhaps a new one.

        Args:
            used: skill that was used; unknown ones (deleted meanwhile) change nothing.
            reward: what its rollout got.
            new: name of a new skill; a name already there is not added again.
            utility: what a new skill starts with.

        Raises:
            InputError: a number is not finite.
        """
        for name, number in (("reward", reward), ("utility", utility)):
            if number is not None and not np.isfinite(number):
                raise InputError(f"{name}: {number} of skill {used or new!r} is not a finite number")
        updated = used is not None and reward is not None and self._update(used, reward)
        added = new is not None and new not in self.cache and new not in self.reservoir
        if added and new is not None:
            self.cache[new], self._uses[new] = float(utility), 0
        return LibraryChanges(updated, added, self._evict(), self._load(), self._delete())

    def _update(self, name: str, reward: float) -> bool:
        tier = self.cache if name in self.cache else self.reservoir
        if name not in tier:
            return False
        tier[name] = self.memory * tier[name] + (1.0 - self.memory) * reward
        self._uses[name] += 1
        return True

    def _evict(self) -> str | None:
        if len(self.cache) <= self.cache_capacity:
            return None
        worst = min(self.cache, key=self.cache.__getitem__)
        self.reservoir[worst] = self.cache.pop(worst)
        return worst

    def _load(self) -> str | None:
        if not (self.cache and self.reservoir):
            return None
        best = max(self.reservoir, key=self.reservoir.__getitem__)
        worst = min(self.cache, key=self.cache.__getitem__)
        if self.reservoir[best] <= self.cache[worst]:
            return None
        self.cache[best], self.reservoir[worst] = self.reservoir.pop(best), self.cache.pop(worst)
        return best

    def _delete(self) -> tuple[str, ...]:
        if not self.reservoir:
            return ()
        ranked = sorted(self.reservoir.values())
        cut = ranked[max(0, int(len(ranked) * self.percentile) - 1)]
        deleted = [name for name, value in self.reservoir.items() if value < cut and not self._uses[name]]
        remaining = {name: value for name, value in self.reservoir.items() if name not in deleted}
        over = max(len(remaining) - self.reservoir_capacity, 0)
        deleted += sorted(remaining, key=remaining.__getitem__)[:over]
        for name in deleted:
            del self.reservoir[name], self._uses[name]
        return tuple(deleted)

    def _state(self) -> dict[str, Any]:
        return {"cache": dict(self.cache), "reservoir": dict(self.reservoir), "uses": dict(self._uses)}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.cache, self.reservoir = dict(state["cache"]), dict(state["reservoir"])
        self._uses = {name: int(count) for name, count in state["uses"].items()}


@golden("arise_hierarchical_reward")
def _(case: Case) -> Any:
    correct, used = np.asarray(case.inputs["task_correct"], float), case.inputs["skill_used"]
    batch = SignalBatch(correct, one_group(correct.size), skill_used=used)
    total = np.asarray(method("arise", bonus=float(case.params["skill_bonus"]))(batch).rewards)
    return {"r_task": correct, "r_skill": total - correct, "total": total}


@golden("arise_marginal_skill_reward")
def _(case: Case) -> Any:
    outcomes = [*case.inputs["original_outcomes"], case.inputs["verification_outcome"]]
    helped = [False] * (len(outcomes) - 1) + [True]
    values = tuple(case.params["rs_values"])
    batch = SignalBatch(np.asarray(outcomes, float), one_group(len(outcomes)), helped=helped)
    reward = float(np.asarray(method("arise_new_skill", values=values)(batch).rewards)[-1])
    return {"level": values.index(reward) + 1, "reward": reward}


@golden("arise_skill_selection")
def _(case: Case) -> Any:
    assert case.params["exploration_eps"] == 0
    choice = choose_skill(
        case.array("scores"), temperature=case.params["temperature"], confidence=case.params["confidence_threshold"]
    )
    return choice._asdict()


@golden("arise_skill_library")
def _(case: Case) -> Any:
    library = SkillLibrary(
        cache_capacity=case.params["cache_capacity"],
        reservoir_capacity=case.params["reservoir_capacity"],
        memory=case.params["ema_beta"],
        percentile=case.params["delete_percentile"],
    )
    states = []
    for step in case.inputs["steps"]:
        changes = library.step(step["selected"], step["reward"], new=step["new"], utility=step["initial_utility"])
        info = {**changes._asdict(), "deleted": list(changes.deleted)}
        states.append({"cache": dict(library.cache), "reservoir": dict(library.reservoir), "info": info})
    return states
