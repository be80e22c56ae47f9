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
    "reg_grpo": Laws(**_CENTRED, scale="invariant", zero_sum=True, options={"eps": 0.0}),
}
