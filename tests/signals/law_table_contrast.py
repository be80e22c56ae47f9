"""Laws of presets on contrast, preference and evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.signals.laws import Laws

_CENTRED: dict[str, Any] = {"shift": True, "constant": True}
_DEVIATION: dict[str, Any] = {**_CENTRED, "scale": "invariant", "zero_sum": True, "options": {"eps": 0.0}}


def _whole_bundles(inputs: dict[str, Any]) -> None:
    inputs["bundles"] = inputs["groups"] // 2


def _unit_components(inputs: dict[str, Any]) -> None:
    inputs["components"] = 1.0 / (1.0 + np.exp(-inputs["components"]))


def _four_components(inputs: dict[str, Any]) -> None:
    for name in ("components", "components_valid"):
        inputs[name] = np.concatenate([inputs[name], inputs[name]], axis=1)


def _labelled(inputs: dict[str, Any]) -> None:
    rows = len(inputs["groups"])
    inputs["groups"] = np.arange(rows) // 2
    inputs["preferred"] = np.arange(rows) % 2 == 0


def _one_clean(inputs: dict[str, Any]) -> None:
    first = np.unique(inputs["groups"], return_index=True)[1]
    inputs["noisy"] = ~np.isin(np.arange(len(inputs["groups"])), first)


CONTRAST: dict[str, Laws] = {
    "cepo": Laws(constant=True, zero_sum=True, scale="invariant", options={"eps": 0.0, "wrong_below": 1e9}),
    "rlsd": Laws(**_DEVIATION),
    "cepo_references": Laws(),
    "t_ppo": Laws(),
    "papo": Laws(inputs=("logprobs",)),
    "empo": Laws(inputs=("answered",)),
    "empo_free_form": Laws(inputs=("answered", "copied")),
    "empo_verl": Laws(inputs=("answered",)),
    "grace": Laws(permutation=False, inputs=("negative_embeddings", "truncated")),
    "d3s": Laws(**{**_CENTRED, "options": {"total_steps": 20}}, inputs=("entropies", "mask"), permutation=False),
    "riskpo": Laws(inputs=("bundles",), prepare=_whole_bundles, permutation=False),
    "release/riskpo": Laws(inputs=("bundles",), prepare=_whole_bundles, permutation=False),
    "pipo": Laws(),
    "release/pipo": Laws(),
    "pipo_gate": Laws(),
    "hapo": Laws(inputs=("token_lists",), options={"repetition": -1.0}),
    "release/hapo": Laws(options={"statistic": "mean"}),
    "running_reward_scale": Laws(),
    "release/running_reward_scale": Laws(),
    "adora": Laws(rewards="binary", constant=True),
    "adora_vl": Laws(rewards="binary", constant=True, zero_sum=True),
    "gcpo": Laws(inputs=("format_scores", "lengths"), options={"length": 0.1}),
    "dcpo": Laws(permutation=False),
    "hpt": Laws(rewards="binary", constant=True, inputs=("demonstrated",)),
    "itool_hardest": Laws(permutation=False),
    "hrm": Laws(inputs=("components_valid",)),
    "searchllm": Laws(inputs=("components_valid",), options={"bottom": 1}, prepare=_unit_components),
    "rarg": Laws(inputs=("components_valid", "groups"), prepare=_four_components),
    "rafts": Laws(),
    "earl": Laws(),
    "mind_paraworld": Laws(),
    "bayesian_panel": Laws(inputs=("judged",)),
    "mpo": Laws(inputs=("components_valid",), options={"every": 1}),
    "secrets_ii": Laws(prepare=_labelled),
    "dno": Laws(inputs=("references", "defective")),
    "win_shares": Laws(),
    "on_policy_pairs": Laws(inputs=("sampled_at",), options={"max_age": 3}),
    "rso": Laws(permutation=False, removal=False),
    "did": Laws(),
    "mapl": Laws(),
    "seppo": Laws(),
    "itool_steps": Laws(),
    "itool_pairs": Laws(),
    "cdrrm": Laws(),
    "copg": Laws(shift=True),
    "copg_pairs": Laws(),
    "hypo": Laws(),
    "rdpo": Laws(),
    "rpo": Laws(inputs=("references",), permutation=False),
    "cpl": Laws(),
    "lipo": Laws(rewards="binary"),
    "pg_rank": Laws(),
    "coipo": Laws(inputs=("rewards",), prepare=_one_clean),
    "webdetective": Laws(),
    "rag_report": Laws(),
    "alignment_gap": Laws(inputs=("comparisons",), prepare=_labelled),
}
