"""Enhancing Agentic RL with Progressive Reward Shaping and Value-based Sampling Policy Optimization (PRS, VSPO).

VSPO (arXiv 2512.07478); the smoothing rule is ours.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("vspo", __doc__, provenance="abstract")


@register(
    "vspo",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups"),
    formula="V = (r_max - mean) * std; groups without spread are replaced by draws by V / sum V; A * s(copies)",
    laws=Laws(constant=True),
)
def vspo(
    batch: SignalBatch,
    *,
    max_reward: float = 1.0,
    smoothing: Literal["inverse", "sqrt", "none"] = "inverse",
    clip: float = 5.0,
    seed: int = 0,
    eps: float = 1e-6,
) -> Signal:
    """VSPO: groups without spread give their places to unsolved and uncertain ones, each copy counting less.

    ``copies`` says how often a group is in the step and 0 drops it. The advantages of a copy are smoothed and held
    within ``clip``; the weights multiply them by the number of copies, for a trainer that keeps one row instead of
    repeating it. The draw depends on the ids, ``seed`` and ``batch.step``.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    values = task_values(rewards, groups, max_reward=max_reward)
    # Drawn in the order of the ids, so that the order of the rows says nothing.
    order = np.argsort([repr(label) for label in groups.labels.tolist()], kind="stable")
    varied = ~groups.constant(rewards)
    copies = np.ones(len(groups), np.int64)
    rng = np.random.default_rng((seed, batch.step or 0))
    copies[order] = resample_groups(values[order], varied[order], rng)
    relative = group_normalise(rewards, groups, eps=eps)
    smoothed = np.clip(groups.apply(np.multiply, relative, copy_smoothing(copies, smoothing)), -clip, clip)
    times = batch.scatter(groups.spread(copies)).astype(np.int64)
    return batch.signal(
        keep=(times > 0) | ~batch.valid,
        advantages=batch.scatter(smoothed),
        weights=times.astype(np.float64),
        copies=times,
    )


def task_values(rewards: FloatArray, groups: Groups, *, max_reward: float = 1.0) -> FloatArray:
    """``[Q]`` ``(max_reward - mean) * std``: high for a prompt that is both unsolved and uncertain.

    The deviation is the population's. Exactly 0 for a group of equal rewards.

    Source: VSPO (arXiv 2512.07478).
    """
    return (max_reward - groups.mean(rewards)) * groups.deviation(rewards)


def resample_groups(values: FloatArray, varied: BoolArray, rng: Generator) -> IntArray:
    """``[Q]`` times that each group is in the batch after groups without spread gave up their places.

    The freed places are drawn with replacement from the others by their value. Where no group has a value the batch
    stays as it is.

    Args:
        values: ``[Q]`` values; negative ones count as 0.
        varied: ``[Q]`` where the group's rewards differ.
        rng: source of the draws.
    """
    copies = np.ones(values.size, np.int64)
    share = np.where(varied, np.maximum(values, 0.0), 0.0)
    if not share.sum() > 0:
        return copies
    empty = ~varied
    copies[empty] = 0
    copies += rng.multinomial(int(empty.sum()), share / share.sum())
    return copies


def copy_smoothing(copies: IntArray, rule: Literal["inverse", "sqrt", "none"] = "inverse") -> FloatArray:
    """``[Q]`` factor of each copy, so that a group drawn often does not rule the step.

    ``inverse``: a group weighs the same however often it is drawn; ``sqrt``: as the root of it; ``none``: as often.

    Raises:
        OptionError: the rule is unknown.
    """
    power = {"inverse": 1.0, "sqrt": 0.5, "none": 0.0}
    if rule not in power:
        raise OptionError(f"smoothing: {rule!r} is not one of {', '.join(power)}")
    return np.where(copies > 0, np.maximum(copies, 1) ** -power[rule], 0.0)


@golden("task_value")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, one_group(rewards.size))
    return task_values(rewards, batch.groups, max_reward=case.params["r_max"])[0]
