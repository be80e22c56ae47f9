"""Which laws each preset obeys. Every registered preset has a row here."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.signals.law_table_contrast import CONTRAST
from tests.signals.law_table_extended import EXTENDED
from tests.signals.law_table_groups import GROUPS
from tests.signals.laws import Laws

_CENTRED: dict[str, Any] = {"shift": True, "constant": True}
_DEVIATION: dict[str, Any] = {**_CENTRED, "scale": "invariant", "zero_sum": True, "options": {"eps": 0.0}}


def _one_reward_a_trajectory(inputs: dict[str, Any]) -> None:
    episodes = inputs["groups"] * 10 + inputs["trajectories"]
    inputs["rewards"] = np.array([inputs["rewards"][episodes == episode][0] for episode in episodes])


LAWS: dict[str, Laws] = {
    "grpo": Laws(**_DEVIATION),
    "grpo_trl": Laws(**_DEVIATION),
    "grpo_verl": Laws(),
    "release/grpo_verl_vectorized": Laws(),
    "grpo_openrlhf": Laws(**_DEVIATION),
    "release/grpo_openrlhf": Laws(finite=False),
    "grpo_slime": Laws(**_DEVIATION),
    "grpo_dance": Laws(**_DEVIATION),
    "dr_grpo": Laws(**_CENTRED, scale="equivariant", zero_sum=True),
    "rloo": Laws(**_CENTRED, scale="equivariant", zero_sum=True),
    "opo": Laws(**_CENTRED, scale="equivariant"),
    "gpg": Laws(**_CENTRED, scale="equivariant", zero_sum=True),
    "pass_at_k": Laws(rewards="binary", constant=True, options={"k": 2}),
    "pass_at_k_best": Laws(**_CENTRED, scale="invariant", permutation=False, options={"eps": 0.0}),
    "reinforce_plus_plus_baseline": Laws(shift=True),
    "reinforce_plus_plus_baseline_openrlhf": Laws(shift=True),
    "gigpo": Laws(shift=True, prepare=_one_reward_a_trajectory),
    "reinforce_plus_plus": Laws(shift=True),
    "reinforce_plus_plus_openrlhf": Laws(shift=True),
    "release/reinforce_plus_plus": Laws(),
    "release/reinforce_plus_plus_baseline": Laws(),
    "release/reinforce_plus_plus_openrlhf": Laws(permutation=False),
    "remax": Laws(),
    "gae": Laws(),
    "optimal_token_baseline": Laws(scale="equivariant"),
    "weighted_sum": Laws(inputs=("components_valid",)),
    "release/weighted_sum_trl": Laws(inputs=("components_valid",)),
    "gdpo": Laws(inputs=("components_valid",)),
    "gdpo_verl": Laws(inputs=("components_valid",)),
    "release/gdpo_trl": Laws(inputs=("components_valid",)),
    "overlong": Laws(options={"max_length": 4, "cache": 2}),
    "overlong_verl": Laws(options={"max_length": 4, "cache": 2}),
    "overlong_openrlhf": Laws(options={"max_length": 4, "cache": 2}),
    "stop_properly": Laws(),
    "overlong_filter": Laws(),
    "dynamic_sampling": Laws(),
    "release/dynamic_sampling": Laws(),
    "dynamic_sampling_range": Laws(),
    "dapo": Laws(options={"max_length": 4, "cache": 2}),
    "preference_pairs": Laws(permutation=False, removal=False),
    **EXTENDED,
    **CONTRAST,
    **GROUPS,
}
"""`release/...` presets reproduce what was released, which breaks most laws."""
