"""Rewards that count only once others are earned."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups

RubricUse = Literal["always", "right_only", "wrong_only"]


def group_max_normalised(values: FloatArray, groups: Groups) -> FloatArray:
    """``[N]`` values over the largest of their group; as they are where that is not above 0."""
    top = groups.max(values)
    result: FloatArray = groups.apply(np.divide, values, np.where(top > 0, top, 1.0))
    return result


def mix_rubric(outcome: FloatArray, rubric: FloatArray, *, ratio: float = 0.3, use: RubricUse = "always") -> FloatArray:
    """``[N]`` ``(1 - ratio) * outcome + ratio * rubric``.

    Args:
        outcome: ``[N]``; a row with 0 is wrong.
        rubric: ``[N]``.
        ratio: share of the rubric.
        use: ``right_only`` leaves wrong rows at their outcome; ``wrong_only`` leaves right ones.
    """
    mixed = (1.0 - ratio) * outcome + ratio * rubric
    if use == "right_only":
        return np.where(outcome == 0, outcome, mixed)
    if use == "wrong_only":
        return np.where(outcome > 0, outcome, ratio * rubric)
    return mixed


def mutation_reward(
    golden: BoolArray,
    mutants: IntArray,
    killed: IntArray,
    equivalents: IntArray,
    rejected: IntArray,
    *,
    golden_weight: float = 0.5,
) -> FloatArray:
    """``[N]`` reward of tests by the faults they find.

    ``(w + (1 - w) * killed / mutants) * (1 - rejected / equivalents)``; 0 for tests that the right implementation
    fails. Without mutants the first factor is 1, without equivalents the second is.

    Args:
        golden: ``[N]`` whether the right implementation passes.
        mutants: ``[N]`` wrong variants tried.
        killed: ``[N]`` how many of them fail.
        equivalents: ``[N]`` variants of the same behaviour tried.
        rejected: ``[N]`` how many of them fail, though they should pass.
        golden_weight: ``w``, what passing the right implementation is worth alone.

    Source: GRPO-SMu (arXiv 2601.07593), reconstructed from its abstract.
    """
    share = np.where(mutants > 0, killed / np.maximum(mutants, 1), 1.0)
    wrongly = np.where(equivalents > 0, rejected / np.maximum(equivalents, 1), 0.0)
    return np.where(golden, (golden_weight + (1.0 - golden_weight) * share) * (1.0 - wrongly), 0.0)
