"""Labels of switches, samplers, tools and judges."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import Groups, SignalBatch, preset
from trainer_client.signals.evaluation import judge_metrics, read_item_score, read_winner, rubric_agrees, written_alike
from trainer_client.signals.normalise import long_right_answers
from trainer_client.signals.preference import rejection_sample, tool_step_reward, tree_choice

from ._harness import Case, label


@label("ADORA", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    params, mask = case.params, case.array("response_mask") > 0
    batch = SignalBatch((case.array("token_level_rewards") * mask).sum(1), case.inputs["group"], mask=mask)
    estimator = preset(
        "adora",
        correct=np.nextafter(params["correct_score"], np.inf),
        cap=params["max_length_threshold"],
        factor=params["lamda"],
        eps=params["epsilon"],
        singleton="raw",
    )
    return estimator(batch).over_tokens(mask)


@label("ADORA-VL", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    rewards, lengths = case.array("rewards"), case.array("response_length")
    groups = Groups.of(np.repeat(np.arange(len(rewards)), rewards.shape[1]))
    full = long_right_answers(rewards.ravel() > 0.5, lengths.ravel(), groups, cap=4094, all_right=False, all_wrong=True)
    return groups.spread(np.where(full, 1.0, case.params["lamda"])).reshape(rewards.shape)


@label("HPT")
def _(case: Case) -> Any:
    """Rows taken out, demonstrations for the policy gradient, and for the demonstration's own loss."""
    params, size = case.params, int(case.inputs["group_size"])
    rewards = (np.arange(size) < case.inputs["num_correct"]).astype(float)
    signal = preset(
        "hpt",
        gate=params["switch_gate"] / size,
        # A second gate below the first is never reached.
        gate_off=max(params["switch_gate"], params["switch_gate_off"]) / size,
        keep_rollouts=params["strategy"] == "soft",
    )(SignalBatch(rewards, np.zeros(size, int)))
    losses = {"sft": 1, "off_policy": -1}
    added = sum(losses[request.details["loss"]] for request in signal.requests or ())
    return [int((~signal.keep).sum()), 0, added]


@label("RSO sampler")
def _(case: Case) -> Any:
    rewards, uniforms = case.array("rewards"), iter(case.array("uniforms").tolist())

    def draw(_round: int, left: Any) -> Any:
        numbers = np.zeros(rewards.size)
        numbers[left] = [next(uniforms, 1.0) for _ in range(int(left.sum()))]
        return numbers

    one = Groups.of(np.zeros(rewards.size, int))
    params = case.params
    turn = rejection_sample(rewards, one, draw, number=params["num_samples"], beta=params["beta"])
    return [int(row) for row in np.argsort(turn, kind="stable") if turn[row] >= 0]


@label("MPO rubric score")
def _(case: Case) -> Any:
    """What cannot be read, and a call that failed, are 0 in the release; with us they are missing."""
    rows = [
        [0.0] if items is None else [read_item_score(item) or 0.0 for item in items]
        for items in case.inputs["evaluations"]
    ]
    return [float(sum(items)) for items in rows]


@label("MPO answer check")
def _(case: Case) -> Any:
    return [written_alike(case.inputs["a"], case.inputs["b"])]


@label("iTool step reward")
def _(case: Case) -> Any:
    return [tool_step_reward(case.inputs["action"], case.inputs["reference"])]


@label("iTool tree policy")
def _(case: Case) -> Any:
    children = case.inputs["children"]
    values, visits, priors = (np.array([child[key] for child in children]) for key in ("value", "visits", "prob"))
    visited = case.inputs["parent_visits"]
    return [tree_choice(values, visits, priors, visited, exploration=case.params["exploration_weight"])]


@label("CDRRM verdict parser")
def _(case: Case) -> Any:
    return [read_winner(case.inputs["text"])]


@label("CDRRM consistency filter")
def _(case: Case) -> Any:
    stated = case.inputs["pair_consistency_check"] or {}
    return [rubric_agrees(stated.get("expected_winner", ""), stated.get("rubric_predicts", ""))]


@label("CDRRM judge metrics")
def _(case: Case) -> Any:
    return [judge_metrics(case.inputs["winners"], case.inputs["ground_truth"])]
