"""Labels of methods that change one thing about GRPO: virtual rows, one-sided signals, likelihood, filters."""

from __future__ import annotations

from typing import Any

from trainer_client.signals import SignalBatch, preset, resolve

from ._base import batch_of
from ._harness import Case, label


@label("ngrpo_advantage_calibration")
def _(case: Case) -> Any:
    options = {"max_reward": case.params["max_reward"], "count": case.params["add_max_reward_num"]}
    return preset("ngrpo", eps=case.params["epsilon"], singleton="raw", **options)(batch_of(case)).advantages


@label("psr_nsr")
def _(case: Case) -> Any:
    options = {"mode": case.params["advantage"], "weight": case.params["positive_advantage_weight"]}
    return preset("psr_nsr", **options)(batch_of(case)).advantages


@label("group_filter_by_accuracy")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["group"])
    return preset("accuracy_filter", drop=case.params["strategy"])(batch).keep


@label("unlikeliness_reward")
def _(case: Case) -> Any:
    negative = bool((case.array("rewards") < 0).any())
    stages = [
        {"name": "release/unlikeliness" if negative else "unlikeliness", "penalty": case.params["rank_penalty"]},
        {"name": "grpo_verl", "eps": case.params["epsilon"]},
    ]
    return resolve(stages)(batch_of(case, old_logprobs=case.array("old_log_probs"))).advantages
