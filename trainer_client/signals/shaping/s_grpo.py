"""S-GRPO: Early Exit via RL in Reasoning Models.

S-GRPO (arXiv 2505.07686); whether its advantage divides by the deviation is not known.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("s-grpo", __doc__, provenance="secondary")

_EXIT_ORDER = Input("exit_order", "N", "int", "place of an exit on its reasoning path, early to late")

ExitDecay = Literal["count", "position"]


@register(
    "s_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _EXIT_ORDER),
    formula="right: base^-(right exits before it); wrong: 0; A_i = r_i - mean of the path",
    laws=Laws(permutation=False),
)
def s_grpo(
    batch: SignalBatch,
    *,
    base: float = 2.0,
    decay: ExitDecay = "count",
    divide_by_std: bool = False,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """S-GRPO: of the early exits of one path, the first right one earns most.

    ``groups`` are the paths, the full path being the last exit of its own. A missing exit is as if not taken.
    """
    valid, groups = batch.taken()
    right = batch.rewards[valid] > threshold
    rewards = batch.scatter(decaying_exits(right, batch["exit_order"][valid], groups, base=base, decay=decay))
    scale: Literal["std", "none"] = "std" if divide_by_std else "none"
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, valid, scale=scale, eps=eps))


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
        OptionError: ``base`` is not above 0, or ``decay`` is unknown.

    Source: S-GRPO (arXiv 2505.07686).
    """
    if not base > 0:
        raise OptionError(f"base: {base} must be above 0")
    if decay not in ("count", "position"):
        raise OptionError(f"decay: {decay!r} is neither count nor position")
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
        OptionError: a count is negative.
    """
    if length < 0 or exits < 0:
        raise OptionError(f"length: {length} and exits: {exits} must not be negative")
    inner = max(length - 1, 0)
    number = min(exits, inner)
    if spacing == "even":
        return np.unique(np.round(np.arange(1, number + 1) * length / (number + 1)).astype(np.int64))
    drawn = np.random.default_rng(seed).choice(inner, number, replace=False) if number else np.zeros(0)
    return np.sort(drawn.astype(np.int64)) + 1


@golden("serial_group_decaying_reward")
def _(case: Case) -> Any:
    correct = case.array("correct_by_exit_order")
    batch = SignalBatch(correct, one_group(correct.size), exit_order=np.arange(correct.size))
    return method("s_grpo", base=case.params["base"])(batch).rewards
