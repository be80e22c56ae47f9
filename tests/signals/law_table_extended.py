"""Laws of presets that change one thing about a base method, or work within a structure of the group."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.signals.laws import Laws

_CENTRED: dict[str, Any] = {"shift": True, "constant": True}
_DEVIATION: dict[str, Any] = {**_CENTRED, "scale": "invariant", "zero_sum": True, "options": {"eps": 0.0}}


def _not_negative(inputs: dict[str, Any]) -> None:
    inputs["rewards"] = np.abs(inputs["rewards"])


def _hinted_rows(inputs: dict[str, Any]) -> None:
    inputs["hint_levels"] = np.maximum(inputs["hint_levels"] - 6, 0)


def _possible_steps(inputs: dict[str, Any]) -> None:
    inputs["steps"] = inputs["steps"] % 4 - 1


def _positive_criterion(inputs: dict[str, Any]) -> None:
    inputs["criterion_weights"] = inputs["criterion_weights"].copy()
    inputs["criterion_weights"][:, 0] = np.abs(inputs["criterion_weights"][:, 0]) + 0.1


def _decisions(inputs: dict[str, Any]) -> None:
    inputs["decisions"], inputs["labels"] = inputs["decisions"] % 3 - 1, inputs["labels"] % 2


EXTENDED: dict[str, Laws] = {
    "ngrpo": Laws(),
    "psr_nsr": Laws(rewards="binary"),
    "accuracy_filter": Laws(rewards="binary"),
    "unlikeliness": Laws(prepare=_not_negative),
    "release/unlikeliness": Laws(),
    "grpo_lambda": Laws(rewards="binary", options={"gate": "threshold", "threshold": 0.5}),
    "length_curriculum": Laws(),
    "stratified_grpo": Laws(**_CENTRED, scale="invariant", options={"eps": 0.0}),
    "m_grpo_reward": Laws(inputs=("components_valid",)),
    "m_grpo": Laws(**_CENTRED, scale="invariant", options={"eps": 0.0}),
    "grao": Laws(**_CENTRED, scale="invariant", options={"eps": 0.0}),
    "disco": Laws(rewards="binary", constant=True, zero_sum=True),
    "disco_b": Laws(rewards="binary", constant=True, zero_sum=True, options={"score": "ratio"}),
    "drpo": Laws(rewards="binary", constant=True, zero_sum=True, options={"max_length": 5}),
    "knapsack_rl": Laws(rewards="binary", permutation=False, removal=False),
    "release/knapsack_rl": Laws(permutation=False, removal=False, options={"fallback": False}),
    "v_0": Laws(rewards="binary", permutation=False, removal=False),
    "xrpo_budget": Laws(permutation=False, removal=False),
    "xrpo": Laws(constant=True),
    "masa": Laws(rewards="binary"),
    "release/masa": Laws(rewards="binary"),
    "masa_gate": Laws(),
    "scaf_grpo_hints": Laws(rewards="binary"),
    "scaf_grpo": Laws(rewards="binary", constant=True, permutation=False, prepare=_hinted_rows),
    "igrpo_drafts": Laws(),
    "igrpo": Laws(**_DEVIATION),
    "rgr_grpo_revision": Laws(inputs=("components_valid", "criterion_weights")),
    "rgr_grpo": Laws(**_CENTRED, scale="invariant", zero_sum=True, permutation=False, options={"eps": 0.0}),
    "thinktuning_feedback": Laws(rewards="binary"),
    "thinktuning": Laws(**_DEVIATION),
    "relative_difficulty": Laws(),
    "xrpo_seeds": Laws(rewards="binary"),
    "tempo": Laws(shift=True, scale="invariant", options={"eps": 0.0}),
    "dense_grpo": Laws(inputs=("prefix_valid",), prepare=_possible_steps),
    "graph_grpo": Laws(**_DEVIATION),
    "microcoder_grpo": Laws(
        constant=True, permutation=False, removal=False, options={"width": 1, "diversity_ngram": 2}
    ),
    "rubric_reward": Laws(inputs=("components_valid", "criterion_weights"), prepare=_positive_criterion),
    "multi_objective_grpo": Laws(inputs=("components_valid",), options={"low": -1.0, "high": 1.0}),
    "job_application": Laws(inputs=("components_valid",), prepare=_decisions),
    "reg_grpo": Laws(**_CENTRED, scale="invariant", zero_sum=True, options={"eps": 0.0}),
}
