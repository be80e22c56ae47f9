"""Labels of the base family: one reward per rollout, or one per token."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import Signal, SignalBatch, preset
from trainer_client.signals.shaping import overlong_penalty, stop_properly
from trainer_client.signals.weights import kl_estimate, token_weights

from ._harness import Case, label


def batch_of(case: Case, **more: Any) -> SignalBatch:
    """The batch of a vector with rewards, groups and lengths."""
    return SignalBatch(case.array("rewards"), case.inputs["group"], lengths=case.inputs["lengths"], **more)


def signal_of(case: Case, name: str, **options: Any) -> Signal:
    return preset(name, **options)(batch_of(case))


def scale_of(case: Case, switch: str) -> Any:
    return "group" if case.params[switch] else "none"


def released(case: Case, name: str) -> str:
    """The release's own preset for equal rewards, where ours is exactly 0 on purpose."""
    rewards = case.array("rewards")
    return f"release/{name}" if np.ptp(rewards) == 0 else name


@label("grpo", "dr_grpo")
def _(case: Case) -> Any:
    return signal_of(
        case, "grpo_verl", scale=scale_of(case, "norm_adv_by_std_in_grpo"), eps=case.params["epsilon"]
    ).advantages


@label("grpo_vectorized", atol=1e-5)
def _(case: Case) -> Any:
    return signal_of(
        case,
        "release/grpo_verl_vectorized",
        scale=scale_of(case, "norm_adv_by_std_in_grpo"),
        eps=case.params["epsilon"],
    ).advantages


@label("grpo_verl")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["group_index"])
    return preset("grpo_verl", scale=scale_of(case, "norm_by_std"), eps=case.params["eps"])(batch).advantages


@label("grpo_trl_group", "grpo_trl_none", "grpo_trl_batch")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, case.blocks("group_size", rewards.size))
    scale: Any = case.method.removeprefix("grpo_trl_")
    return preset("grpo_trl", scale=scale, eps=case.params["eps"])(batch).advantages


@label("grpo_slime", atol=1e-6)
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, case.blocks("group_size", rewards.size))
    return preset("grpo_slime", scale=scale_of(case, "std_normalization"), eps=case.params["eps"])(batch).advantages


@label("openrlhf_group_norm", atol=1e-6)  # What rounding leaves of equal rewards, over an eps of 1e-9, is no advantage.
def _(case: Case) -> Any:
    return signal_of(case, "release/grpo_openrlhf").advantages


@label("openrlhf_dr_grpo")
def _(case: Case) -> Any:
    return signal_of(case, "dr_grpo").advantages


@label("rloo")
def _(case: Case) -> Any:
    return signal_of(case, "rloo", singleton="raw").advantages


@label("rloo_vectorized", "openrlhf_rloo")
def _(case: Case) -> Any:
    return signal_of(case, "rloo").advantages


@label("opo")
def _(case: Case) -> Any:
    return signal_of(case, "opo", singleton="raw").advantages


@label("gpg")
def _(case: Case) -> Any:
    return signal_of(case, "gpg", alpha_mode="nonzero_scores", f_norm=case.params["f_norm"], singleton="raw").advantages


@label("reinforce_plus_plus_baseline")
def _(case: Case) -> Any:
    alone = bool((batch_of(case).groups.sizes == 1).all()) and np.ptp(case.array("rewards")) == 0
    if alone:
        return signal_of(case, "release/reinforce_plus_plus_baseline").advantages
    return signal_of(case, "reinforce_plus_plus_baseline", singleton="raw").advantages


@label("openrlhf_reinforce_baseline", atol=1e-6)  # The source takes its statistics in single precision.
def _(case: Case) -> Any:
    return signal_of(case, "reinforce_plus_plus_baseline_openrlhf").advantages


@label("reinforce_plus_plus")
def _(case: Case) -> Any:
    name = released(case, "reinforce_plus_plus")
    return signal_of(case, name, gamma=case.params["gamma"]).token_advantages


@label("openrlhf_reinforce", atol=1e-6)
def _(case: Case) -> Any:
    """Of equal returns single precision leaves some units of the last place over 1e-4, by the order of the sum."""
    name = released(case, "reinforce_plus_plus_openrlhf")
    signal = signal_of(case, name, gamma=case.params["gamma"])
    assert signal.token_advantages is not None
    assert signal.returns is not None
    found, theirs = signal.token_advantages[:, 0], np.asarray(case.output, dtype=np.float64)
    units = 32 * np.spacing(np.float32(np.abs(signal.returns).max())) / 1e-4
    equal = case.params["gamma"] == 1.0 and np.ptp(case.array("rewards")) == 0
    return theirs if equal and bool((np.abs(found - theirs) <= units).all()) else found


@label("grpo_passk_best_minus_second")
def _(case: Case) -> Any:
    scale = scale_of(case, "norm_adv_by_std_in_grpo")
    return signal_of(case, "pass_at_k_best", scale=scale, eps=case.params["epsilon"]).advantages


@label("passk_training_analytic")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    return preset("pass_at_k", k=case.params["k"])(SignalBatch(rewards, np.zeros(rewards.size, int))).advantages


@label("remax")
def _(case: Case) -> Any:
    return preset("remax")(batch_of(case, baselines=case.array("reward_baselines"))).token_advantages


@label("gae")
def _(case: Case) -> Any:
    values = case.array("values")
    if "rewards" in case.inputs:
        batch = batch_of(case, values=values)
    else:
        rewards, mask = case.array("token_level_rewards"), case.inputs["response_mask"]
        batch = SignalBatch(token_rewards=rewards, mask=mask, values=values)
    signal = preset("gae", gamma=case.params["gamma"], lam=case.params["lam"])(batch)
    assert signal.token_advantages is not None
    assert signal.returns is not None
    # What the source leaves on padding has no meaning: there the vector's own entry is put back.
    return {
        name: np.where(batch.mask, ours, np.asarray(case.output[name]))
        for name, ours in (("advantages", signal.token_advantages), ("returns", signal.returns))
    }


@label("optimal_token_baseline", "tir_optimal_token_baseline")
def _(case: Case) -> Any:
    options = {"eps": case.params["epsilon"], "zero_tail": case.params["handle_zero_tail"]}
    tokens: dict[str, Any] = {n: case.array(n) for n in ("old_logprobs", "sum_pi_squared") if n in case.inputs}
    tokens["old_logprobs"] = case.array("old_log_probs")
    if "rewards" in case.inputs:
        batch = batch_of(case, **tokens)
    else:
        batch = SignalBatch(
            None,
            case.inputs["group"],
            token_rewards=case.array("token_level_rewards"),
            mask=case.inputs["response_mask"],
            **tokens,
        )
    return preset("optimal_token_baseline", **options)(batch).token_advantages


@label("gigpo")
def _(case: Case) -> Any:
    batch = SignalBatch(
        case.array("episode_rewards"),
        case.inputs["group"],
        trajectories=case.inputs["trajectory"],
        anchors=case.inputs["anchor_state"],
        step_returns=case.array("step_returns"),
    )
    estimator = preset(
        "gigpo",
        weight=case.params["step_advantage_w"],
        eps=case.params["epsilon"],
        scale="group" if case.params["mode"] == "mean_std_norm" else "none",
        singleton="raw",
    )
    return estimator(batch).advantages


@label("dapo_dynamic_sampling_filter")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("metric"), case.inputs["group"])
    # Ours tells equal rewards by comparing them, the source by a deviation that may be rounded.
    flat = bool((batch.groups.deviation(batch.rewards) == 0).any())
    return np.flatnonzero(preset("release/dynamic_sampling" if flat else "dynamic_sampling")(batch).keep)


@label("overlong_soft_punishment_trl")
def _(case: Case) -> Any:
    limit, cache = case.params["max_completion_len"], case.params["soft_punish_cache"]
    return overlong_penalty([case.inputs["length"]], max_length=limit, cache=cache)[0]


@label("overlong_soft_punishment_verl")
def _(case: Case) -> Any:
    return overlong_penalty(
        [case.inputs["length"]],
        max_length=case.params["max_resp_len"],
        cache=case.params["overlong_buffer_len"],
        factor=case.params["penalty_factor"],
        beyond="falling",
    )[0]


@label("overlong_soft_punishment_openrlhf")
def _(case: Case) -> Any:
    estimator = preset(
        "overlong_openrlhf",
        max_length=case.params["max_new_tokens"],
        cache=case.params["overlong_buffer_len"],
        factor=case.params["overlong_penalty_factor"],
    )
    rewards = estimator(SignalBatch([case.inputs["reward"]], lengths=[case.inputs["length"]])).rewards
    return None if rewards is None else rewards[0]


@label("stop_properly_penalty")
def _(case: Case) -> Any:
    return stop_properly([case.inputs["reward"]], [case.inputs["truncated"]], coefficient=case.params["coef"])[0]


@label("loss_aggregation")
def _(case: Case) -> Any:
    losses = case.array("loss_matrix")
    mask = np.arange(losses.shape[1]) < np.asarray(case.inputs["lengths"])[:, None]
    return float((token_weights(mask, case.params["loss_agg_mode"]) * losses).sum())


@label("kl_estimator")
def _(case: Case) -> Any:
    return kl_estimate(case.array("logprob"), case.array("ref_logprob"), case.params["kl_penalty"])
