"""Optimizing Safe and Aligned Language Generation: A Multi-Objective GRPO Approach.

Multi-objective GRPO (arXiv 2503.21819), abstract and a public summary; weights and ranges are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainer_client.signals.authoring import FloatArray, Laws, OptionError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.combine import combine
from trainer_client.signals.parts.decoupled import decoupled_normalise, resolve_weights
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.terms import Term

PAPER = Paper("multi-objective-grpo", __doc__, provenance="abstract")


@register(
    "multi_objective_grpo",
    paper=PAPER,
    needs="group",
    inputs=("components", "groups"),
    formula="r = sum_k w_k * c_k, then GRPO; or each c_k through GRPO, then the weighted sum",
    columns=one_each("weights", "means", "deviations"),
    laws=Laws(options={"low": -1.0, "high": 1.0}),
)
def multi_objective_grpo(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    order: Literal["sum_first", "normalise_first"] = "sum_first",
    low: float | None = None,
    high: float | None = None,
    means: tuple[float, ...] | None = None,
    deviations: tuple[float, ...] | None = None,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """Multi-objective GRPO: the heads of one preference model, summed and normalised by group.

    Heads (politeness, meaningfulness, actionability, safety) weigh ``1 / K`` each unless given, are held within the
    range of their labels (``low``, ``high``) and standardised with frozen ``means`` and ``deviations`` where these are
    given. Summed first, a head with a wide range drowns the others; ``normalise_first`` gives each the same say. A
    missing head moves its row neither up nor down.
    """
    components, present = batch["components"], batch.components_given
    width = components.shape[1]
    factors = resolve_weights(weights, width) if weights else np.full(width, 1.0 / max(width, 1))
    if low is not None or high is not None:
        components = np.clip(components, low, high)
    components = components - _columns("means", means, width, 0.0)
    components = components / _columns("deviations", deviations, width, 1.0)
    if order == "normalise_first":
        scored = present.any(1)
        advantages = decoupled_normalise(
            components, batch.groups, present, weights=factors.tolist(), ddof=ddof, eps=eps
        )
        return batch.signal(keep=scored | ~batch.valid, advantages=advantages)
    terms = [Term(f"head {k}", float(w), required=False) for k, w in enumerate(factors)]
    combined = combine(components, present, terms, groups=batch.groups, optional="neutral", max_missing=1.0)
    live = combined.valid
    rewards = np.where(live, combined.rewards, 0.0)
    advantages = group_normalise(rewards, batch.groups, live, ddof=ddof, eps=eps)
    return batch.signal(keep=live | ~batch.valid, advantages=advantages, rewards=rewards)


def _columns(name: str, values: Sequence[float] | None, width: int, default: float) -> FloatArray:
    array = np.full(width, default) if values is None else np.asarray(values, dtype=np.float64)
    if array.shape != (width,) or (name == "deviations" and bool((array <= 0).any())):
        raise OptionError(f"{name}: one for each of {width} components is needed, deviations above 0; {values} given")
    return array
