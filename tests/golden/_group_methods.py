"""Labels of the papers on group rewards: advantages and combinations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch, preset
from trainer_client.signals.shaping import length_surrogate, ordinal_class_reward, ranking_score
from trainer_client.signals.trackers import SuccessRates

from ._harness import Case, label


def one_group(rows: int) -> np.ndarray:
    return np.zeros(rows, np.int64)


def grouped(case: Case, size: str) -> SignalBatch:
    rewards = case.array("rewards")
    return SignalBatch(rewards, case.blocks(size, rewards.size))


@label("mc_grpo", "mc_grpo_rescaled", atol=0.0)
def _(case: Case) -> Any:
    # The source subtracts in float32, where rewards of 0.5 in steps of 1e-4 are not what their decimals say.
    batch = grouped(case, "rollouts_per_prompt")
    batch = batch.replace(rewards=batch.rewards.astype(np.float32))
    signal = preset(f"release/{case.method}", eps=case.params["mad_eps"])(batch)
    ours, theirs = ~signal.keep, np.asarray(case.output["median_mask"])
    # Which of equal rewards is left out is not defined in the source; another of the same value is as good.
    left_out = theirs if np.array_equal(batch.rewards[ours], batch.rewards[theirs]) else ours
    whole = np.asarray(signal.advantages) + np.zeros(batch.rows)
    return {"advantages_all": whole, "median_mask": left_out, "kept_advantages": whole[~left_out]}


@label("bnpo")
def _(case: Case) -> Any:
    low, high = case.params["min_value"], case.params["max_value"]
    batch = SignalBatch(case.array("rewards"), case.inputs["group_index"])
    broken = isinstance(case.output, dict) or "NaN" in case.output
    alone = bool((batch.groups.sizes == 1).any())
    name = "release/bnpo" if broken or alone else "bnpo"
    return preset(name, low=low, high=high)(batch).advantages


@label("bnpo_decomposed")
def _(case: Case) -> Any:
    batch = SignalBatch(None, case.inputs["group_index"], components=case.array("component_rewards").T)
    name = "release/bnpo_decomposed" if "NaN" in case.output else "bnpo_decomposed"
    estimator = preset(name, low=case.params["min_value"], high=case.params["max_value"])
    return estimator(batch).advantages


@label("spo_tracker_init")
def _(case: Case) -> Any:
    tracker = SuccessRates(forget_low=case.params["rho_clip_lower"])
    for prompt, scores in case.inputs["offline_scores"].items():
        trials = min(len(scores), case.params["offline_N"])
        tracker.start(prompt, sum(score > 0 for score in scores[:trials]), trials)
    counts = {prompt: tracker.counts(prompt) for prompt in case.inputs["offline_scores"]}
    return {"alpha": {p: c[0] for p, c in counts.items()}, "beta": {p: c[1] for p, c in counts.items()}}


@label("spo_advantage")
def _(case: Case) -> Any:
    params = case.params
    names = {"forget_low": params["rho_min"], "forget_high": params["rho_max"], "half_drift": params["D_half"]}
    rewards, drift = case.array("rewards"), case.array("mean_abs_logprob_diff")
    estimator = preset("release/spo" if rewards.size == 1 else "spo", eps=params["eps"], **names)
    prompts = list(range(rewards.size))
    counts = zip(prompts, case.inputs["alpha"], case.inputs["beta"], strict=True)
    tracker = SuccessRates(**names)
    for prompt, alpha, beta in counts:
        tracker.set(prompt, alpha, beta)
    state = estimator.state_dict()
    estimator.load_state_dict({**state, "state": {**state["state"], "counts": tracker.state_dict()["counts"]}})
    known = tracker.rates(prompts)
    signal = estimator(SignalBatch(rewards, prompts, logprob_drift=drift))
    after = {prompt: (alpha, beta) for prompt, alpha, beta in estimator.state_dict()["state"]["counts"]}
    return {
        "p_hat": known,
        "advantage_raw": rewards - known,
        "advantage_normalized": signal.advantages,
        "rho": tracker.memory(drift),
        "alpha_next": [after[prompt][0] for prompt in prompts],
        "beta_next": [after[prompt][1] for prompt in prompts],
    }


@label("spo_sampling_weights")
def _(case: Case) -> Any:
    tracker = SuccessRates()
    prompts = list(range(len(case.inputs["alpha"])))
    for prompt in prompts:
        tracker.set(prompt, case.inputs["alpha"][prompt], case.inputs["beta"][prompt])
    weights = tracker.sampling_weights(prompts, exploration=case.params["exploration_epsilon"])
    return {"weights": weights, "probabilities": weights / weights.sum()}


@label("grpo_care")
def _(case: Case) -> Any:
    params = case.params
    accuracy = case.array("accuracy_rewards")
    base = accuracy + case.array("other_rewards")
    batch = SignalBatch(
        base, one_group(base.size), accuracy=accuracy, answer_likelihood=case.array("answer_likelihood")
    )
    estimator = preset(
        "grpo_care",
        coefficient=params["bonus_coefficient"],
        margin=params["consistency_margin"] or 0.0,
        ceiling=params["confidence_upper_bound"],
        floor=params["accuracy_floor"],
        eps=params["eps"],
    )
    signal = estimator(batch)
    return {"bonus": np.asarray(signal.rewards) - base, "rewards": signal.rewards, "advantages": signal.advantages}


@label("length_surrogate_v3")
def _(case: Case) -> Any:
    limit, peak = case.params["max_length"], case.params["decay_threshold"]
    return length_surrogate([case.inputs["response_token_len"]], max_length=limit, peak=peak)[0]


@label("format_length_reward")
def _(case: Case) -> Any:
    table = [[case.inputs["soft_format_reward"], case.inputs["answer_format_reward"]]]
    batch = SignalBatch(components=table, lengths=[case.inputs["response_token_len"]])
    estimator = preset("format_length", max_length=case.params["max_length"], peak=case.params["decay_threshold"])
    return np.asarray(estimator(batch).rewards)[0]


@label("ospo_one_step_advantage")
def _(case: Case) -> Any:
    rewards, acting = case.array("rewards"), np.asarray(case.inputs["assigned"])
    batch = SignalBatch(
        np.where(acting, rewards, 0.0),
        one_group(rewards.size),
        assigned=acting,
        cumulative=case.array("cumulative_reward"),
    )
    alone = np.asarray(preset("ospo", fairness=0.0, eps=case.params["eps"])(batch).advantages)
    whole = np.asarray(preset("ospo", eps=case.params["eps"])(batch).advantages)
    shared = (whole - alone)[acting]
    return {
        "advantage": [float(a) if acts else None for a, acts in zip(whole, acting, strict=True)],
        "fairness_term": float(shared.mean()) if shared.size else case.output["fairness_term"],
    }


@label("ospo_grpo_reward_to_go")
def _(case: Case) -> Any:
    params, rewards = case.params, case.array("reward")
    batch = SignalBatch(
        rewards,
        agents=case.inputs["worker_id"],
        times=case.inputs["time_step"],
        gaps=case.array("delta_t"),
        penalties=case.array("punishment"),
    )
    estimator = preset(
        "ospo_to_go",
        gamma=params["gamma"],
        reward={1: "own", 2: "to_go"}[params["reward_type"]],
        scale={1: "step", 2: "batch"}[params["norm_type"]],
        penalty={0: "none", 1: "given", 2: "spread"}[params["punishment_type"]],
        eps=params["eps"],
    )
    return estimator(batch).advantages


@label("rank_ema_advantage", atol=1e-6)
def _(case: Case) -> Any:
    mixes = {"used": case.params["adv_ema_coeff"], "rank": 0.0, "ema": 1.0}
    rate, variance = case.params["reward_ema_alpha"], case.params["ema_var_init"]
    runs = {name: preset("release/rank_ema", mix=mix, rate=rate, variance=variance) for name, mix in mixes.items()}
    steps = []
    for rewards in case.inputs["rewards_by_step"]:
        batch = SignalBatch(rewards, one_group(len(rewards)))
        signals = {name: run(batch) for name, run in runs.items()}
        report = signals["used"].report
        steps.append(
            {name: signal.advantages for name, signal in signals.items()}
            | {"ema_mean": report["rank_ema/mean"], "ema_var": report["rank_ema/variance"]}
        )
    return steps


@label("ordinal_class_reward", atol=1e-6)
def _(case: Case) -> Any:
    params = SimpleNamespace(**case.params)
    return ordinal_class_reward(
        case.array("prediction"),
        case.array("target"),
        bounds=params.bounds[1:-1],
        high_class=params.high_class_from,
        exact=params.exact_weight,
        coarse=params.coarse_weight,
        false_alarm=params.false_alarm_penalty,
    )


@label("group_ranking_reward")
def _(case: Case) -> Any:
    predicted, gold = case.inputs["predicted_scores"], case.inputs["gold_scores"]
    score = ranking_score(
        predicted, gold, k=case.params["k"], gamma=case.params["gamma"], alignment=case.params["eps_align"]
    )
    return {"ndcg": score.ndcg, "recall": score.recall, "js": score.divergence, "reward": score.reward}
