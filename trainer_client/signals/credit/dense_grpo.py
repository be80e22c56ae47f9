"""DenseGRPO: From Sparse to Dense Reward for Flow Matching Model Alignment.

DenseGRPO (arXiv 2601.20218), abstract; carried over from image flows to text, normalisation is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    InputError,
    IntArray,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("densegrpo", __doc__, provenance="abstract")

_PREFIX_SCORES = Input(
    "prefix_scores",
    "NP",
    "float",
    "score of a rollout's prefix after each step, the empty one first",
    beside="prefix_valid",
)
_PREFIX_VALID = Input("prefix_valid", "NP", "bool", "which prefixes exist and hold a score")
_STEPS = Input("steps", "NT", "int", "number of the step that a token belongs to, from 0; negative for none")


def _possible_steps(inputs: dict[str, Any]) -> None:
    inputs["steps"] = inputs["steps"] % 4 - 1


@register(
    "dense_grpo",
    paper=PAPER,
    needs="group",
    inputs=("groups", _PREFIX_SCORES, _STEPS, "lengths|mask"),
    optional=(_PREFIX_VALID,),
    formula="d_t = Phi_t - Phi_{t-1}; A_t = (d_t - mean) / (std + eps) over the group's rows that have step t",
    laws=Laws(prepare=_possible_steps),
)
def dense_grpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """DenseGRPO: each step is credited with what it added to a reward model's score of the prefix.

    ``prefix_scores`` come from a reward model asked about each prefix, the empty one first, ``steps`` says which step
    a token belongs to. Rows without a step are left out of its statistics (``prefix_valid``).
    """
    scores = batch["prefix_scores"]
    prefix_valid = batch["prefix_valid"] if "prefix_valid" in batch else np.ones(scores.shape, np.bool_)
    gains, has_gain = step_gains(scores, prefix_valid & batch.valid[:, None])
    advantages = step_advantages(gains, has_gain, batch.groups, ddof=ddof, eps=eps)
    mask = batch.mask & batch.valid[:, None]
    return batch.signal(token_advantages=steps_over_tokens(advantages, batch["steps"], mask))


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
        InputError: a generated token belongs to a step that the row cannot have.
    """
    inside = mask & (steps >= 0)
    bad = np.argwhere(inside & (steps >= advantages.shape[1]))
    if bad.size:
        row, token = bad[0].tolist()
        raise InputError(
            f"steps: row {row}, column {token} names step {steps[row, token]} where there are {advantages.shape[1]}; "
            "steps count from 0, one fewer than prefix scores"
        )
    if not advantages.shape[1]:
        return np.zeros(mask.shape)
    return np.where(inside, np.take_along_axis(advantages, np.where(inside, steps, 0), axis=1), 0.0)
