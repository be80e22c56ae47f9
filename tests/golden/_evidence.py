"""Labels of token credit by a teacher, of agreement among siblings, and of perception."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import Groups, SignalBatch, preset
from trainer_client.signals.credit import contrast_credit
from trainer_client.signals.shaping import agreement, contrastive_embedding_reward, greedy_clusters, mean_pool
from trainer_client.signals.weights import Aggregation, KlKind, kl_estimate, perception_weights

from ._harness import Case, label

_KL: dict[str, KlKind] = {"kl": "k1", "abs": "abs", "mse": "k2", "low_var_kl": "k3"}


@label("CEPO", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    return contrast_credit(
        case.array("advantages"),
        case.array("pos_teacher_log_probs") - case.array("neg_teacher_log_probs"),
        case.array("response_mask") > 0,
        mix=case.params["lam"],
        bound=case.params["eps_w"],
    )


@label("RLSD (CEPO without rejected rollouts)", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    return contrast_credit(
        case.array("advantages"),
        case.array("teacher_log_probs") - case.array("old_log_probs"),
        case.array("response_mask") > 0,
        mix=case.params["lambda_coef"],
        bound=case.params["epsilon_w"],
        sign_of="token",
    )


@label("GRACE", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """A pooling, or total and parts of the reward."""
    if "hidden_states" in case.inputs:
        skip = int(case.params["exclude_system_prompt"] or 0)
        return mean_pool(case.array("hidden_states"), case.array("attention_mask") > 0, skip=skip)
    rows = {row: name for name, members in case.inputs["groups"].items() for row in members}
    groups = Groups.of([rows[row] for row in range(len(rows))])
    return contrastive_embedding_reward(
        case.array("query"),
        case.array("positive"),
        case.array("negative") if case.inputs.get("negative") is not None else None,
        groups,
        temperature=case.params["temperature"] if case.params["use_temperature"] else 1.0,
        clustering=case.params["clustering_weight"],
        crossing=case.params["cross_group_weight"],
    )


@label("EMPO")
def _(case: Case) -> Any:
    answers = case.inputs["answers"]
    groups = case.blocks("num_generations", len(answers))
    classes = Groups.of(groups).cross(Groups.of(greedy_clusters(answers, str.__eq__)))
    batch = SignalBatch(None, groups, answers=classes.index, answered=[bool(a) for a in answers])
    return preset("empo")(batch).rewards


@label("EMPO cluster")
def _(case: Case) -> Any:
    answers = case.inputs["answers"]
    group = np.zeros(len(answers), int)
    answered = np.array([bool(a) for a in answers])
    batch = SignalBatch(None, group, answers=answers, answered=answered)
    found = agreement(Groups.of(group), Groups.of(answers), answered, alone=True)
    confident = preset("empo_verl", min_confidence=case.params["min_confidence"])(batch)
    majority = preset("empo_verl", reward="majority")(batch)
    assert confident.rewards is not None
    assert majority.rewards is not None
    first = Groups.of(group).cross(Groups.of(answers)).cross(Groups.of(np.cumsum(~answered) * ~answered))
    return [
        {
            "frequencies": found.share,
            "cluster_frequencies": first.first(found.share),
            "thresholded": confident.rewards,
            "filtered": int(not confident.rewards.any()),
            "majority": majority.rewards.astype(int),
        }
    ]


@label("PAPO", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    kind = _KL[case.params["kl_penalty"]]
    return kl_estimate(case.array("log_probs"), case.array("masked_image_log_probs"), kind)


@label("PAPO perception loss", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    params, mask = case.params, case.array("response_mask") > 0
    kind = _KL[params["kl"]]
    divergence = kl_estimate(case.array("log_probs"), case.array("masked_image_log_probs"), kind)
    average: Aggregation = "token-mean" if params["avg"] == "token" else "seq-mean-token-mean"
    # The source bounds what a row's weight has already scaled.
    divergence = divergence * case.array("weighting").reshape(-1, 1)
    weights = perception_weights(divergence, mask, np.ones(len(mask)), top=params["top_p"], average=average)
    capped = divergence if params["clip"] is None else np.clip(divergence, 0.0, params["clip"])
    return [float((weights * capped).sum())]
