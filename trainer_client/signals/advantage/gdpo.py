"""GDPO: Group reward-Decoupled Normalization Policy Optimization for Multi-reward RL Optimization.

GDPO (arXiv 2601.05242); NVlabs/GDPO @b080e63d trl-GDPO; huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771
normalize_then_sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, Paper, Signal, SignalBatch, golden, method, register, resolve
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.decoupled import decoupled_normalise
from trainer_client.signals.parts.group_normalise import Singleton
from trainer_client.signals.parts.standardise import standardise

PAPER = Paper("gdpo", __doc__, provenance="code")


@register(
    "gdpo",
    paper=PAPER,
    needs="batch",
    inputs=("components", "groups"),
    formula=(
        "a_k = (c_k - mean) / (std + eps) in the group; s = sum_k w_k * a_k; A = (s - mean) / (std + eps) "
        "over the batch"
    ),
    reducible=True,
    columns=one_each("weights"),
)
def gdpo(batch: SignalBatch, *, weights: tuple[float, ...] | None = None, ddof: int = 1, eps: float = 1e-4) -> Signal:
    """GDPO: each reward normalised in its group, summed, then standardised over the batch."""
    present = batch.components_given
    joined = decoupled_normalise(batch["components"], batch.groups, present, weights=weights, ddof=ddof, eps=eps)
    scored = np.asarray(present.any(axis=1))
    advantages = standardise(joined, scored, ddof=ddof, eps=eps, reduce=batch.reduce)
    return batch.signal(keep=scored | ~batch.valid, advantages=advantages)


@register(
    "gdpo_verl",
    paper=PAPER,
    needs="batch",
    inputs=("components", "groups", "lengths|mask"),
    source="NVlabs/GDPO @b080e63d verl-GDPO/verl/trainer/ppo/ray_trainer.py",
    formula=(
        "a_k = (c_k - mean) / (std + eps) in the group; s = sum_k w_k * a_k; A = (s - mean) / sqrt(var + "
        "1e-8) over tokens"
    ),
    reducible=True,
    columns=one_each("weights"),
)
def gdpo_verl(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    eps: float = 1e-6,
    singleton: Singleton = "raw",
) -> Signal:
    """GDPO as its verl fork computes it: the batch step weighs rollouts by their tokens."""
    present = batch.components_given
    joined = decoupled_normalise(
        batch["components"], batch.groups, present, weights=weights, eps=eps, singleton=singleton
    )
    scored = np.asarray(present.any(axis=1))
    advantages = standardise(
        joined,
        scored,
        weights=batch.lengths.astype(np.float64),
        eps=1e-8,
        stabiliser="variance",
        reduce=batch.reduce,
    )
    return batch.signal(keep=scored | ~batch.valid, advantages=advantages)


@register(
    "release/gdpo_trl",
    like="gdpo",
    source="NVlabs/GDPO @b080e63d trl-GDPO/trl-0.18.0-gdpo/trl/trainer/grpo_trainer.py",
    formula="as gdpo, a missing component taken as 0 before the statistics",
)
def release_gdpo_trl(batch: SignalBatch, *, weights: tuple[float, ...] | None = None, eps: float = 1e-4) -> Signal:
    """GDPO of its TRL fork, which takes a missing component for a reward of 0 and so biases its group."""
    filled = np.where(batch.components_given, batch["components"], 0.0)
    present = np.broadcast_to(batch.valid[:, None], filled.shape)
    joined = decoupled_normalise(filled, batch.groups, present, weights=weights, eps=eps)
    return batch.signal(advantages=standardise(joined, batch.valid, eps=eps, reduce=batch.reduce))


@golden("trl_group_advantage")
def _(case: Case) -> Any:
    eps = case.params["epsilon"]
    if case.params["multi_objective_aggregation"] == "normalize_then_sum":
        return method("gdpo", weights=tuple(case.params["weights"]), eps=eps)(case.components()).advantages
    summed = {"name": "weighted_sum", "weights": case.params["weights"], "missing": "omit"}
    relative = {"name": "grpo_trl", "scale": case.params["scale_rewards"], "eps": eps}
    return resolve([summed, relative])(case.components()).advantages


@golden("gdpo_batch_normalised")
def _(case: Case) -> Any:
    options = {"weights": tuple(case.params["weights"]), "eps": case.params["epsilon"]}
    return method("release/gdpo_trl", **options)(case.components()).advantages


@golden("gdpo_token_whitened")
def _(case: Case) -> Any:
    batch = SignalBatch(None, case.inputs["group"], components=case.array("rewards").T, lengths=case.inputs["lengths"])
    return method("gdpo_verl", eps=case.params["epsilon"])(batch).advantages
