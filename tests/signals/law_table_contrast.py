"""Laws of presets on contrast, preference and evidence."""

from __future__ import annotations

from typing import Any

from tests.signals.laws import Laws

_CENTRED: dict[str, Any] = {"shift": True, "constant": True}
_DEVIATION: dict[str, Any] = {**_CENTRED, "scale": "invariant", "zero_sum": True, "options": {"eps": 0.0}}


def _whole_bundles(inputs: dict[str, Any]) -> None:
    inputs["bundles"] = inputs["groups"] // 2


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
}
