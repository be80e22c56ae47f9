"""A length penalty for prompts that the policy has mastered, and for no other."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def leading_groups(accuracy: FloatArray, share: float) -> BoolArray:
    """``[Q]`` the ``ceil(share * Q)`` groups of highest accuracy, ties in order; one that solved nothing never leads.

    Raises:
        BadOption: ``share`` is outside [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise BadOption(f"share: {share} must lie in [0, 1]")
    # The small number keeps ceil(0.2 * 5) at 1 although 0.2 * 5 may round up.
    number = int(np.ceil(share * accuracy.size - 1e-9))
    chosen = np.zeros(accuracy.size, np.bool_)
    chosen[np.argsort(-accuracy, kind="stable")[:number]] = True
    return chosen & (accuracy > 0)


def relative_length_reward(
    correct: BoolArray, lengths: FloatArray, groups: Groups, *, alpha: float = 0.2
) -> FloatArray:
    """``[N]``: wrong rows 0, right ones ``1 - alpha * sigmoid(z)``.

    ``z`` is the row's length against the mean and population deviation of the lengths of its group's right rows;
    one right row, or equal lengths, have ``z`` 0 and earn ``1 - alpha / 2``.
    """
    right = correct.astype(np.float64)
    number = np.maximum(groups.sum(right), 1.0)
    # Relative to the longest: equal lengths then leave no rounding behind.
    longest = groups.max(np.where(correct, lengths, -np.inf))
    shifted = np.where(correct, groups.apply(np.subtract, lengths, longest), 0.0)
    centred = np.where(correct, groups.apply(np.subtract, shifted, groups.sum(shifted) / number), 0.0)
    deviation = np.sqrt(groups.sum(centred * centred) / number)
    z = groups.apply(np.divide, centred, np.where(deviation > 0, deviation, 1.0))
    return np.where(correct, 1.0 - alpha / (1.0 + np.exp(-z)), 0.0)
