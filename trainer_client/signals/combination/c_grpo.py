"""Chaining the Evidence: Robust RL for Deep Search Agents with Citation-Aware Rubric Rewards (CaRR, C-GRPO).

CaRR, THUDM/CaRR slime/slime/rollout/sglang_rollout.py @c97e7e89.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    Input,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.columns import grpo_over

PAPER = Paper("c-grpo", __doc__, provenance="code")

_RUBRIC_REWARDS = Input("rubric_rewards", "N", "float", "share of its rubric that a row fulfils")

RubricUse = Literal["always", "right_only", "wrong_only"]


@register(
    "c_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _RUBRIC_REWARDS),
    formula="right: (1 - c) * o + c * rubric / max of the group; wrong: o; then (r - mean) / (std + 1e-6)",
)
def c_grpo(
    batch: SignalBatch,
    *,
    ratio: float = 0.3,
    use: RubricUse = "right_only",
    normalise: bool = True,
    eps: float = 1e-6,
) -> Signal:
    """C-GRPO: right answers are told apart by the share of a rubric that their citations support.

    ``rewards`` are the outcomes. The rubric is taken relative to the best of the group, unless ``normalise`` is off.
    """
    valid, groups = batch.taken()
    rubric = batch["rubric_rewards"][valid]
    rubric = group_max_normalised(rubric, groups) if normalise else rubric
    return grpo_over(batch, batch.scatter(mix_rubric(batch.rewards[valid], rubric, ratio=ratio, use=use)), eps)


@register(
    "release/c_grpo",
    like="c_grpo",
    formula="as c_grpo; with right_only the rubric is never normalised",
)
def release_c_grpo(
    batch: SignalBatch,
    *,
    ratio: float = 0.3,
    use: RubricUse = "right_only",
    normalise: bool = True,
    eps: float = 1e-6,
) -> Signal:
    """C-GRPO of its release, whose training script asks for a normalised rubric in a branch that ignores it."""
    return c_grpo(batch, ratio=ratio, use=use, normalise=normalise and use != "right_only", eps=eps)


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


@golden("carr_group_reward")
def _(case: Case) -> Any:
    outcome = case.array("outcome_reward")
    only = (case.params["rubric_only_positive"], case.params["rubric_only_negative"])
    # With both switches the source looks at the negative one first.
    use = "wrong_only" if only[1] else "right_only" if only[0] else "always"
    batch = SignalBatch(outcome, one_group(outcome.size), rubric_rewards=case.array("rubric_reward"))
    estimator = method(
        "release/c_grpo",
        ratio=case.params["rubric_reward_ratio"],
        use=use,
        normalise=case.params["normalize_rubric_reward"],
    )
    return estimator(batch).rewards
