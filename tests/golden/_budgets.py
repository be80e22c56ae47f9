"""Labels of budgets and of predictions about a prompt's own rollouts."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch, SignalError, preset
from trainer_client.signals.selection import allocate_knapsack, mixed_group_value
from trainer_client.signals.shaping import meta_prediction_score

from ._harness import Case, label


@label("knapsack_budget")
def _(case: Case) -> Any:
    """The release's numbers; ours adds up to the same total and is worth at least as much."""
    table, params = case.array("reward_states"), case.params
    known, rates, n = table[:, 0] == 1, table[:, 1], int(case.inputs["n"])
    options = {
        "default_n": n,
        "min_n": params["min_n"],
        "max_n": params["max_n"],
        "failed_n": params["negative_n"],
        "solved_n": params["positive_n"],
        "fallback": params["allow_fallback"],
        "confidence": params["alpha"],
    }
    batch = SignalBatch(groups=np.arange(len(rates)), valid=known, success_rates=rates)
    try:
        released = preset("release/knapsack_rl", **options)(batch).budget
    except SignalError as error:
        # Which of its own checks stops the release is of no interest.
        stopped = isinstance(case.output, str) and case.output.startswith("error:")
        return case.output if stopped else repr(error)
    ours = allocate_knapsack(rates, known, n * len(rates), **options)
    assert ours.sum() == n * len(rates)
    assert released is not None
    teaches = known & (rates > 0) & (rates < 1)
    worth, recorded = (mixed_group_value(rates[teaches], budget[teaches]).sum() for budget in (ours, released))
    assert worth >= recorded - 1e-12
    return released


@label("meta_prediction_reward")
def _(case: Case) -> Any:
    truth = case.inputs["rollouts"]
    found = meta_prediction_score(
        case.inputs["prediction"],
        truth["problem"],
        truth["response"],
        truth["score"],
        truth["length"],
        pass_rate_scale=case.params["pass_rate_scale"],
        base=case.params["difficulty_base"],
    )
    return {
        "score": found.score,
        "notion_score": found.notion,
        "pred_acc_score": found.difficulty,
        "length_score": found.length,
    }
