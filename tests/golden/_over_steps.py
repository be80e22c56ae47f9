"""Labels of methods that remember earlier steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import Groups, SignalBatch, preset
from trainer_client.signals.normalise import (
    Progress,
    bundle_papers,
    improvement,
    paper_values,
    retrospective_advantages,
    risk_advantages,
)
from trainer_client.signals.shaping import history_length_reward, mean_logprobs, repetition_penalty
from trainer_client.signals.trackers import QuantileTracker

from ._harness import Case, label

_MEASURES = {(True, False): "mixed", (False, False): "range", (False, True): "seeking", (True, True): "mixed"}


@label("RiskPO", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    params, scores = case.params, case.array("scores")
    prompts = Groups.of(case.inputs["question"])
    papers = bundle_papers(scores, prompts, Groups.of(case.inputs["bundle"]))
    low, high = (
        _quantile(papers.bundles.quantile(papers.scores, params[f"quantile_{side}"]), case, side)
        for side in ("down", "up")
    )
    measure = _MEASURES[params["use_mixing_risk_measure"], params["risk_seeking_upper_tail"]]
    means = (case.inputs["g_rvar_avg"], case.inputs["g_cvar_avg"]) if params["use_mean_as_baseline"] else (0.0, 0.0)
    credit = params["credit_assign_mode"]
    values = paper_values(
        papers,
        low,
        high,
        level_low=params["quantile_down"],
        level_high=params["quantile_up"],
        measure=measure,  # type: ignore[arg-type]
        weight=params["upper_weight" if measure == "seeking" else "w_mix"],
        centred=params["natural_baseline_adv"],
        means=means,
    )
    handed = {"divide": params["norm_adv_by_std_in_grpo"], "credit": "share" if credit == "sum-mean" else credit}
    return risk_advantages(values, scores, prompts, papers, flat=0.0, **handed).advantages


def _quantile(own: Any, case: Case, side: str) -> Any:
    tracked, mode = case.inputs[f"q_track_{side}"], case.params["use_q_track_mode"]
    if tracked is None or mode == "batch":
        return own
    return np.full(own.size, tracked) if mode == "track" else (own + tracked) / 2


@label("RiskPO tracker", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    tracker = QuantileTracker(rate=case.params["lr_q"])
    if case.inputs["q"] is not None:
        tracker.quantiles = case.array("q")
    tracker.update(case.array("bundle_scores"))
    return tracker.quantiles


def _progress(case: Case) -> Progress:
    """As the releases measure it; a window of one has no deviation."""
    params = case.params
    found = improvement(case.inputs["current_mean"], case.inputs["history"], ddof=0, divide=False)
    deviation = 1.0 if params["history_window_size"] == 1 else found.deviation
    return Progress(found.improvement / deviation, found.baseline, deviation)


@label("PIPO", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    found = _progress(case)
    xi = found.improvement * (1.0 if case.params["enable_variance_normalization"] else found.deviation)
    mask = case.array("response_mask") > 0
    before = mean_logprobs(case.array("advantages"), mask)
    credit = retrospective_advantages(before, Groups.of(case.inputs["group"]), xi)
    return [
        {
            "coefficients": np.where(mask, credit[:, None], 0.0),
            "xi": xi,
            "rho": found.baseline,
            "sigma": found.deviation,
        }
    ]


@label("PIPO gate", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """The gate always divides, whatever ``enable_variance_normalization`` says."""
    xi = _progress(case).improvement
    gate = min(max(xi, case.params["ppo_gate_min"]), case.params["ppo_gate_max"])
    return [
        {"scaled": case.array("token_level_advantages") * gate * case.array("response_mask"), "phi": gate, "xi": xi}
    ]


@label("HAPO")
def _(case: Case) -> Any:
    """One answer; the function's name says whether by the cosine or by the line."""
    past = float(case.inputs["history_len"])
    value = history_length_reward(
        np.array([case.inputs["is_correct"]]),
        np.array([float(case.inputs["seq_len"])]),
        np.array([past if past < case.params["MAX_LEN"] else np.nan]),
        shape="linear" if case.function.endswith("_linear") else "cosine",
        tolerance=case.params["tolerance_ratio"],
    )
    return case.params["w_lr"] * value


@label("HAPO repetition")
def _(case: Case) -> Any:
    params = case.params
    return [
        repetition_penalty(
            case.inputs["tokens"],
            ngram=params["ngram_size"],
            penalty=params["max_penalty"],
            first_only=params["only_start"],
        )
    ]


@label("HAPO history", rtol=1e-5, atol=1e-5)
def _(case: Case) -> Any:
    params, unset = case.params, case.params["MAX_LEN"]
    run = preset("release/hapo", weight=params["w_lr"], shape=params["type_lr"], statistic=params["mode"])
    found = []
    for step, recorded in zip(case.inputs["steps"], case.output, strict=True):
        signal = run(SignalBatch(None, step["prompt"], correct=step["correct"], lengths=step["length"]))
        prompts = list(range(len(recorded["history"])))
        known = {prompt: (length, count) for prompt, length, count in run.state_dict()["state"]["history"]["known"]}
        found.append(
            {
                "rewards": signal.rewards,
                "history": [known.get(prompt, (unset, 0))[0] for prompt in prompts],
                "count": [known.get(p, (0, 0))[1] if params["mode"] == "mean" else 0 for p in prompts],
            }
        )
    return found


@label("Secrets-II reward scaling", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    plain, centred = (preset("release/running_reward_scale", centre=centre) for centre in (False, True))
    found, seen = [], 0
    for rewards in case.inputs["batches"]:
        scaled, normalised = (run(SignalBatch(rewards)) for run in (plain, centred))
        seen += len(rewards)
        found.append(
            {
                "batch_mean": float(np.mean(rewards)),
                "batch_std": float(np.std(rewards, ddof=1)),
                "mean": scaled.report["rewards/running_mean"],
                "std": scaled.report["rewards/running_std"],
                "count": seen,
                "normalised": normalised.rewards,
                "scaled": scaled.rewards,
            }
        )
    return found
