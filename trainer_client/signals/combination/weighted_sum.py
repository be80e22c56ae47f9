"""Weighted sums of rewards.

huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771; the treatment of missing components is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.combine import combine
from trainer_client.signals.parts.decoupled import resolve_weights
from trainer_client.signals.parts.terms import Optional, Term


@register(
    "weighted_sum",
    needs="group",
    inputs=("components", "groups"),
    provenance="code",
    formula="r_i = sum_k w_k * c_ik",
    columns=one_each("weights"),
)
def weighted_sum(
    batch: SignalBatch, *, weights: tuple[float, ...] | None = None, missing: Optional = "neutral"
) -> Signal:
    """Weighted sum of the components; a missing one moves its row neither up nor down."""
    components = batch["components"]
    factors = resolve_weights(weights, components.shape[1])
    terms = [Term(f"component {k}", float(w), required=False) for k, w in enumerate(factors)]
    combined = combine(
        components, batch.components_given, terms, groups=batch.groups, optional=missing, max_missing=1.0
    )
    live = combined.valid
    return batch.signal(keep=live | ~batch.valid, rewards=np.where(live, combined.rewards, 0.0))


@register(
    "release/weighted_sum_trl",
    needs="row",
    inputs=("components",),
    provenance="code",
    source=(
        "huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771; lotusroot-kim/MC-GRPO "
        "src/open_r1/grpo_trainer_math.py @da077455"
    ),
    formula="r_i = sum_k w_k * c_ik over the components present; 0 where none is",
    columns=one_each("weights"),
)
def release_weighted_sum_trl(batch: SignalBatch, *, weights: tuple[float, ...] | None = None) -> Signal:
    """Weighted sum of TRL's release, where a row without any reward counts as a reward of 0."""
    components = batch["components"]
    factors = resolve_weights(weights, components.shape[1])
    return batch.signal(rewards=np.where(batch.components_given, components * factors, 0.0).sum(1))


@golden("weighted_sum_nan")
def _(case: Case) -> Any:
    return method("release/weighted_sum_trl", weights=tuple(case.params["weights"]))(case.components()).rewards
