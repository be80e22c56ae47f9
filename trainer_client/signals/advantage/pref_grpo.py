"""Pref-GRPO: Pairwise Preference Reward-based GRPO.

Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/dispatcher.py @3e787f6d.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import Laws, Needs, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.decoupled import decoupled_normalise
from trainer_client.signals.parts.standardise import standardise

PAPER = Paper("pref-grpo", __doc__, provenance="code")


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" or options["restandardise"] else "group"


@register(
    "pref_grpo",
    paper=PAPER,
    needs=_needs_by_scale,
    inputs=("components", "groups"),
    formula="A = sum_k w_k * (r_k - mean) / (std + 1e-8), each in its group or over the batch",
    reducible=True,
    columns=one_each("weights"),
    laws=Laws(options={"restandardise": True}),
)
def pref_grpo(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    scale: Literal["group", "batch"] = "group",
    restandardise: bool = False,
    eps: float = 1e-8,
) -> Signal:
    """Pref-GRPO: win rates and other rewards, normalised each on its own before the weighted sum.

    Win rates come from `win_rate` or a pairwise verifier. ``restandardise`` standardises the sum over the batch.
    """
    present = batch.components_given
    advantages = decoupled_normalise(
        batch["components"], batch.groups, present, weights=weights, scale=scale, eps=eps, reduce=batch.reduce
    )
    scored = np.asarray(present.any(axis=1))
    if restandardise:
        advantages = standardise(advantages, scored, eps=eps, reduce=batch.reduce)
    return batch.signal(keep=scored | ~batch.valid, advantages=advantages)
