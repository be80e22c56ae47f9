"""Several rewards at once: the weighted sum and GDPO."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.combination import Optional, Term, combine, decoupled_normalise, resolve_weights
from trainer_client.signals.normalise import Singleton, standardise

_TRL = "huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771"
_GDPO = "NVlabs/GDPO @b080e63d"
_NAMED = ("components", "groups")


@register(
    "weighted_sum",
    room="combination",
    needs="group",
    inputs=("components", "groups"),
    certainty="code",
    source=f"{_TRL}; the treatment of missing components is ours",
    formula="r_i = sum_k w_k * c_ik",
    papers=("base",),
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
    room="combination",
    needs="row",
    inputs=("components",),
    certainty="code",
    source=f"{_TRL}; lotusroot-kim/MC-GRPO src/open_r1/grpo_trainer_math.py @da077455",
    formula="r_i = sum_k w_k * c_ik over the components present; 0 where none is",
    papers=("base",),
)
def release_weighted_sum_trl(batch: SignalBatch, *, weights: tuple[float, ...] | None = None) -> Signal:
    """Weighted sum of TRL's release, where a row without any reward counts as a reward of 0."""
    components = batch["components"]
    factors = resolve_weights(weights, components.shape[1])
    return batch.signal(rewards=np.where(batch.components_given, components * factors, 0.0).sum(1))


@register(
    "gdpo",
    room="advantage",
    needs="batch",
    inputs=_NAMED,
    certainty="code",
    source=f"GDPO (arXiv 2601.05242); {_GDPO} trl-GDPO; {_TRL} normalize_then_sum",
    formula="a_k = (c_k - mean) / (std + eps) in the group; s = sum_k w_k * a_k; "
    "A = (s - mean) / (std + eps) over the batch",
    papers=("base", "gdpo"),
    reducible=True,
)
def gdpo(batch: SignalBatch, *, weights: tuple[float, ...] | None = None, ddof: int = 1, eps: float = 1e-4) -> Signal:
    """GDPO: each reward normalised in its group, summed, then standardised over the batch."""
    given = batch.components_given
    joined = decoupled_normalise(batch["components"], batch.groups, given, weights=weights, ddof=ddof, eps=eps)
    scored = np.asarray(given.any(axis=1))
    advantages = standardise(joined, scored, ddof=ddof, eps=eps, reduce=batch.reduce)
    return batch.signal(keep=scored | ~batch.valid, advantages=advantages)


@register(
    "gdpo_verl",
    room="advantage",
    needs="batch",
    inputs=(*_NAMED, "lengths|mask"),
    certainty="code",
    source=f"{_GDPO} verl-GDPO/verl/trainer/ppo/ray_trainer.py",
    formula="a_k = (c_k - mean) / (std + eps) in the group; s = sum_k w_k * a_k; "
    "A = (s - mean) / sqrt(var + 1e-8) over tokens",
    papers=("gdpo",),
    reducible=True,
)
def gdpo_verl(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    eps: float = 1e-6,
    singleton: Singleton = "raw",
) -> Signal:
    """GDPO as its verl fork computes it: the batch step weighs rollouts by their tokens."""
    given = batch.components_given
    joined = decoupled_normalise(
        batch["components"], batch.groups, given, weights=weights, eps=eps, singleton=singleton
    )
    scored = np.asarray(given.any(axis=1))
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
    room="advantage",
    needs="batch",
    inputs=_NAMED,
    certainty="code",
    source=f"{_GDPO} trl-GDPO/trl-0.18.0-gdpo/trl/trainer/grpo_trainer.py",
    formula="as gdpo, a missing component taken as 0 before the statistics",
    papers=("gdpo",),
    reducible=True,
)
def release_gdpo_trl(batch: SignalBatch, *, weights: tuple[float, ...] | None = None, eps: float = 1e-4) -> Signal:
    """GDPO of its TRL fork, which takes a missing component for a reward of 0 and so biases its group."""
    filled = np.where(batch.components_given, batch["components"], 0.0)
    present = np.broadcast_to(batch.valid[:, None], filled.shape)
    joined = decoupled_normalise(filled, batch.groups, present, weights=weights, eps=eps)
    return batch.signal(advantages=standardise(joined, batch.valid, eps=eps, reduce=batch.reduce))
