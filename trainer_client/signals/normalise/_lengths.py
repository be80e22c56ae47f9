"""Which groups learn with their full weight, by the lengths of right and wrong answers."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def long_right_answers(
    correct: BoolArray,
    lengths: FloatArray,
    groups: Groups,
    *,
    cap: float,
    all_right: bool = True,
    all_wrong: bool = False,
) -> BoolArray:
    """``[Q]`` whether the longest right answer of a group is longer than the mean of its wrong ones.

    Args:
        correct: ``[N]``.
        lengths: ``[N]``.
        groups: partition by prompt.
        cap: wrong answers of this length or more were cut off and do not count.
        all_right: the answer for a group without wrong answers below the cap.
        all_wrong: for one without right answers, which goes first.

    Source: ADORA, ShadeCloak/ADORA ADORA/verl/trainer/ppo/core_algos.py @c5184853.
    """
    wrong = ~correct & (lengths < cap)
    number = groups.sum(wrong)
    longest = groups.max(np.where(correct, lengths, -np.inf))
    mean = groups.sum(np.where(wrong, lengths, 0.0)) / np.maximum(number, 1)
    compared = np.where(number > 0, longest > mean, all_right)
    return np.where(groups.any(correct), compared, all_wrong).astype(np.bool_)
