"""Rewards along the early exits of one reasoning path."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups

ExitDecay = Literal["count", "position"]


def decaying_exits(
    correct: BoolArray, order: IntArray, groups: Groups, *, base: float = 2.0, decay: ExitDecay = "count"
) -> FloatArray:
    """``[N]`` S-GRPO's rewards: a right exit gets ``base^-k``, a wrong one 0.

    Args:
        correct: ``[N]`` whether the answer given at the exit is right.
        order: ``[N]`` place of the exit on its path, early to late; the full path comes last.
        groups: ``[N]`` path.
        base: 2 halves the reward from one to the next.
        decay: ``k`` counts the right exits before this one (``count``, the paper), or all exits before it
            (``position``).

    Raises:
        BadOption: ``base`` is not above 0, or ``decay`` is unknown.

    Source: S-GRPO (arXiv 2505.07686).
    """
    if not base > 0:
        raise BadOption(f"base: {base} must be above 0")
    if decay not in ("count", "position"):
        raise BadOption(f"decay: {decay!r} is neither count nor position")
    place = groups.rank(order)
    if decay == "position":
        before = place
    else:
        walk = np.lexsort((place, groups.index))
        total = np.cumsum(correct[walk])
        starts = np.repeat(groups.starts, groups.sizes)
        before = np.empty(groups.rows, np.int64)
        before[walk] = total - correct[walk] - np.where(starts > 0, total[starts - 1], 0)
    return np.where(correct, float(base) ** -before.astype(np.float64), 0.0)


def exit_positions(
    length: int, exits: int, *, spacing: Literal["random", "even"] = "random", seed: int = 0
) -> IntArray:
    """Token counts after which to cut a path of ``length`` tokens and ask for the answer, early to late.

    ``random`` draws distinct places uniformly (the paper, 8 a query); ``even`` spreads them. Fewer come back where
    the path has fewer than ``exits`` inner places.

    Raises:
        BadOption: a count is negative.
    """
    if length < 0 or exits < 0:
        raise BadOption(f"length: {length} and exits: {exits} must not be negative")
    inner = max(length - 1, 0)
    number = min(exits, inner)
    if spacing == "even":
        return np.unique(np.round(np.arange(1, number + 1) * length / (number + 1)).astype(np.int64))
    drawn = np.random.default_rng(seed).choice(inner, number, replace=False) if number else np.zeros(0)
    return np.sort(drawn.astype(np.int64)) + 1
