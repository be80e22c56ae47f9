"""Credit for steps, and from steps to tokens."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadInput
from trainer_client.signals._groups import Groups
from trainer_client.signals.normalise import group_normalise


def step_gains(prefix_scores: FloatArray, prefix_valid: BoolArray) -> tuple[FloatArray, BoolArray]:
    """``[N, S]`` gain of each step ``Phi_t - Phi_{t-1}`` from ``[N, S + 1]`` scores, and which gains are known.

    The gains of a row add up to its last score less its first.
    """
    known = prefix_valid[:, 1:] & prefix_valid[:, :-1]
    return np.where(known, np.diff(prefix_scores, axis=1), 0.0), known


def step_advantages(
    values: FloatArray, known: BoolArray, groups: Groups, *, ddof: int = 1, eps: float = 1e-6
) -> FloatArray:
    """``[N, S]`` values normalised among the group's rows that have the same step; 0 where fewer than two do."""
    advantages = np.zeros(values.shape)
    for step in range(values.shape[1]):
        advantages[:, step] = group_normalise(values[:, step], groups, known[:, step], ddof=ddof, eps=eps)
    return advantages


def steps_over_tokens(advantages: FloatArray, steps: IntArray, mask: BoolArray) -> FloatArray:
    """``[N, T]`` each token's step's advantage; 0 for tokens of no step and outside the mask.

    Raises:
        BadInput: a generated token belongs to a step that the row cannot have.
    """
    inside = mask & (steps >= 0)
    bad = np.argwhere(inside & (steps >= advantages.shape[1]))
    if bad.size:
        row, token = bad[0].tolist()
        raise BadInput(
            f"steps: row {row}, column {token} names step {steps[row, token]} where there are {advantages.shape[1]}; "
            "steps count from 0, one fewer than prefix scores"
        )
    if not advantages.shape[1]:
        return np.zeros(mask.shape)
    return np.where(inside, np.take_along_axis(advantages, np.where(inside, steps, 0), axis=1), 0.0)
