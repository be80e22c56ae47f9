"""Groups drawn by what there is to learn from them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def task_values(rewards: FloatArray, groups: Groups, *, max_reward: float = 1.0) -> FloatArray:
    """``[Q]`` ``(max_reward - mean) * std``: high for a prompt that is both unsolved and uncertain.

    The deviation is the population's. Exactly 0 for a group of equal rewards.

    Source: VSPO (arXiv 2512.07478).
    """
    return (max_reward - groups.mean(rewards)) * groups.deviation(rewards)


def resample_groups(values: FloatArray, varied: BoolArray, rng: Generator) -> IntArray:
    """``[Q]`` times that each group stands in the batch after groups without spread gave up their places.

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
        BadOption: the rule is unknown.
    """
    power = {"inverse": 1.0, "sqrt": 0.5, "none": 0.0}
    if rule not in power:
        raise BadOption(f"smoothing: {rule!r} is not one of {', '.join(power)}")
    return np.where(copies > 0, np.maximum(copies, 1) ** -power[rule], 0.0)


def draw_prompts(weights: FloatArray, size: int, rng: Generator) -> IntArray:
    """``size`` positions drawn by weight without replacement; with it only where there are fewer of positive weight.

    Raises:
        BadOption: ``size`` is negative, or no weight is positive.
    """
    total = float(weights.sum())
    if size < 0 or bool((weights < 0).any()) or (size and not total > 0):
        raise BadOption(f"size: cannot draw {size} of {weights.size} prompts whose weights sum to {total}")
    if not size:
        return np.zeros(0, np.int64)
    enough = int((weights > 0).sum()) >= size
    return np.asarray(rng.choice(weights.size, size, replace=not enough, p=weights / total), np.int64)
