"""Laws of presets that take another centre, another view or another set of rows than plain GRPO."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.signals.laws import Laws

_CENTRED: dict[str, Any] = {"shift": True, "constant": True}
_DEVIATION: dict[str, Any] = {**_CENTRED, "scale": "invariant", "zero_sum": True, "options": {"eps": 0.0}}
_MISSING: dict[str, Any] = {"inputs": ("components_valid",)}


def _third_column(inputs: dict[str, Any]) -> None:
    """Format, outcome, reasoning: the reasoning is often not judged where the outcome is wrong."""
    for name in ("components", "components_valid"):
        inputs[name] = np.concatenate([inputs[name], inputs[name][:, :1]], axis=1)
    inputs["components"][:, :2] = inputs["components"][:, :2] > 0


def _variants_tried(inputs: dict[str, Any]) -> None:
    inputs["killed"] = np.minimum(inputs["killed"], inputs["mutants"])
    inputs["equivalents_rejected"] = np.minimum(inputs["equivalents_rejected"], inputs["equivalents"])


def _within_unit(inputs: dict[str, Any]) -> None:
    for name in ("prior_values", "previous_best", "rewards"):
        if name in inputs:
            inputs[name] = np.abs(inputs[name]) % 1.0


def _one_prior_a_prompt(inputs: dict[str, Any]) -> None:
    _within_unit(inputs)
    inputs["prior_values"] = inputs["prior_values"][0] * (1 + inputs["groups"] % 3) / 4


def _versions(inputs: dict[str, Any]) -> None:
    inputs["versions"] = inputs["versions"] % 3 - 1


def _drifts(inputs: dict[str, Any]) -> None:
    inputs["logprob_drift"] = np.abs(inputs["logprob_drift"]) / 20


def _two_rates(inputs: dict[str, Any]) -> None:
    """Two more prompts of different success rates, without which the released fit fails."""
    added = {"groups": np.array([90, 90, 91, 91, 91]), "valid": np.ones(5, np.bool_)}
    rewards = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    added |= {"rewards": rewards, "components": np.stack([rewards, rewards], axis=1)}
    for name in inputs:
        inputs[name] = np.concatenate([inputs[name], added[name]])


GROUPS: dict[str, Laws] = {
    "mc_grpo": Laws(**_CENTRED, permutation=False, options={"clip": 3.0}),
    "release/mc_grpo": Laws(**_CENTRED, permutation=False),
    "release/mc_grpo_rescaled": Laws(**_CENTRED, permutation=False),
    "bnpo": Laws(rewards="binary", constant=True, zero_sum=True),
    "bnpo_decomposed": Laws(**_MISSING, options={"low": -99.0, "high": 99.0}),
    "release/bnpo": Laws(rewards="binary", prepare=_two_rates),
    "release/bnpo_decomposed": Laws(options={"low": -99.0, "high": 99.0}, prepare=_two_rates),
    "v0_5": Laws(rewards="binary", prepare=_one_prior_a_prompt),
    "spo": Laws(rewards="binary", inputs=("logprob_drift",), prepare=_drifts),
    "release/spo": Laws(rewards="binary", finite=False),
    "spo_sampling": Laws(permutation=False, removal=False, options={"size": 4}),
    "rank_ema": Laws(),
    "release/rank_ema": Laws(permutation=False),
    "softmax_shares": Laws(shift=True),
    "autorule": Laws(**_MISSING),
    "fgrpo": Laws(**_MISSING, options={"targets": (0.9,), "start": 1.0}),
    "c_grpo": Laws(inputs=("rubric_rewards",)),
    "release/c_grpo": Laws(inputs=("rubric_rewards",)),
    "posterior_grpo": Laws(**_MISSING, prepare=_third_column),
    "progressive_reward": Laws(**_MISSING, prepare=_third_column),
    "grpo_smu": Laws(inputs=("equivalents", "equivalents_rejected"), prepare=_variants_tried),
    "grit": Laws(**_MISSING),
    "g2rpo": Laws(**_MISSING, options={"rescale_missing": True, "clip": 5.0}),
    "pref_grpo": Laws(**_MISSING, options={"restandardise": True}),
    "win_rate": Laws(),
    "release/win_rate": Laws(),
    "dimension_win_rate": Laws(),
    "release/dimension_win_rate": Laws(permutation=False, removal=False),
    "asymmetric_shaping": Laws(),
    "cobalt": Laws(inputs=("format_terms", "answered"), prepare=_within_unit),
    "length_surrogate": Laws(),
    "format_length": Laws(**_MISSING),
    "grouprank": Laws(inputs=("answered",)),
    "ordinal_class": Laws(),
    "grpo_care": Laws(inputs=("answer_found",)),
    "s_grpo": Laws(permutation=False, constant=False),
    "rank_grpo": Laws(inputs=("eos",), options={"length_shaping": True}),
    "release/rank_grpo": Laws(options={"length_shaping": True}),
    "ospo": Laws(),
    "ospo_to_go": Laws(permutation=False, inputs=("penalties",)),
    "max_variance_subset": Laws(permutation=False, options={"keep": 2}),
    "cobalt_trajectories": Laws(permutation=False, options={"keep": 2}),
    "zero_advantage_filter": Laws(),
    "vspo": Laws(constant=True),
    "rare_event_pairs": Laws(rewards="binary", permutation=False),
    "w_grpo": Laws(**_CENTRED, scale="invariant", options={"negative": 0.5, "eps": 0.0}),
    "optimized_degraded_pairs": Laws(permutation=False, removal=False, prepare=_versions),
    "information_consistency": Laws(),
    "ps_grpo": Laws(),
    "tempsamp_r1": Laws(constant=True),
    "guide_grpo": Laws(constant=True, inputs=("helped", "old_logprobs", "helped_logprobs", "mask")),
    "hill": Laws(permutation=False, inputs=("reliance", "refused")),
    "arise": Laws(inputs=("skill_used",), options={"warmup": 3}),
    "arise_new_skill": Laws(),
    "expo": Laws(permutation=False, inputs=("likelihood", "lift", "refused")),
}
