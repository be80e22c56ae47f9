"""NGRPO: Negative-enhanced Group Relative Policy Optimization.

NGRPO (arXiv 2509.18851); nangongrui-ngr/NGRPO verl/trainer/ppo/core_algos.py @e7a38041.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    TOLERANCE,
    Case,
    FloatArray,
    Groups,
    InputError,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import Singleton

PAPER = Paper("ngrpo", __doc__, provenance="code")


@register(
    "ngrpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="A_i = (r_i - mean') / (std' + eps) with count rows of max_reward added to the group's statistics",
)
def ngrpo(
    batch: SignalBatch,
    *,
    max_reward: float = 1.0,
    count: int = 1,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """NGRPO: a virtual best answer joins every group, so that a group of equal failures is pushed away from them.

    An all-right group still gets 0. Rewards above ``max_reward`` are allowed, but the virtual row is then no bound;
    their share is reported. The clip of the loss is asymmetric: 0.16 below, 0.24 above.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    advantages = virtual_normalise(
        rewards, groups, virtual=max_reward, count=count, ddof=ddof, eps=eps, singleton=singleton
    )
    above = float((rewards > max_reward).mean()) if rewards.size else 0.0
    return batch.signal(advantages=batch.scatter(advantages), report={"ngrpo/above_max_reward": above})


def virtual_normalise(
    rewards: FloatArray,
    groups: Groups,
    *,
    virtual: float = 1.0,
    count: int = 1,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> FloatArray:
    """``[N]`` advantages with ``count`` rows of reward ``virtual`` added to every group's mean and deviation.

    A group of equal rewards below ``virtual`` is pushed away from what it did; only one at ``virtual`` itself gets 0.

    Args:
        rewards: ``[N]``.
        groups: partition of the rows.
        virtual: reward of the rows added, as a rule the highest that can be earned.
        count: how many of them.
        ddof: of the deviation.
        eps: added to the deviation.
        singleton: a group of one has no peers but the virtual ones: ``zero``, ``raw`` (its reward over
            ``1 + eps``, the release's rule), ``error``.

    Raises:
        InputError: ``singleton="error"`` met a group of one.
        OptionError: ``count`` is negative, or ``ddof`` neither 0 nor 1.

    Source: NGRPO (arXiv 2509.18851); nangongrui-ngr/NGRPO verl/trainer/ppo/core_algos.py @e7a38041.
    """
    if count < 0 or ddof not in (0, 1):
        raise OptionError(f"count: {count} must not be negative, ddof: {ddof} is 0 or 1")
    single = groups.sizes == 1
    if singleton == "error" and bool(single.any()):
        label = groups.labels.tolist()[int(np.argmax(single))]
        raise InputError(f"groups: {label!r} has one valid member; generate more, or choose singleton='zero'")
    # Relative to the virtual reward, a group that earned it is exactly zero.
    gap = rewards - virtual
    total = groups.sizes + count
    mean = groups.sum(gap) / total
    centred = groups.apply(np.subtract, gap, mean)
    squares = groups.sum(centred * centred) + count * mean * mean
    largest = np.maximum(np.abs(virtual), groups.max(np.abs(rewards)))
    degenerate = (squares <= total * (TOLERANCE * largest) ** 2) | (total <= ddof)
    divisor = np.sqrt(squares / np.maximum(total - ddof, 1)) + eps
    degenerate |= divisor == 0.0
    factor = np.where(degenerate, 0.0, 1.0 / np.where(degenerate, 1.0, divisor))
    advantages: FloatArray = groups.apply(np.multiply, centred, np.where(single, 0.0, factor))
    if singleton == "raw":
        advantages = np.where(groups.spread(single), rewards / (1.0 + eps), advantages)
    return advantages


@golden("ngrpo_advantage_calibration")
def _(case: Case) -> Any:
    options = {"max_reward": case.params["max_reward"], "count": case.params["add_max_reward_num"]}
    return method("ngrpo", eps=case.params["epsilon"], singleton="raw", **options)(case.batch()).advantages
