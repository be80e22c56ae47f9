"""G2RPO: Granular GRPO for Precise Reward in Flow Models.

G2RPO (arXiv 2510.01982); ddof and eps as in DanceGRPO, on which it is built.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.decoupled import decoupled_normalise

PAPER = Paper("g2rpo", __doc__, provenance="secondary")


@register(
    "g2rpo",
    paper=PAPER,
    needs="group",
    inputs=("components", "groups"),
    formula="A_i = sum_j (r_ij - mean_j) / (std_j + eps)",
    laws=Laws(options={"rescale_missing": True, "clip": 5.0}),
)
def g2rpo(batch: SignalBatch, *, rescale_missing: bool = False, clip: float = 0.0, eps: float = 1e-8) -> Signal:
    """G2RPO: views of the same rollout (granularities, judges, seeds), each normalised on its own, then summed.

    A view that is missing for a row adds nothing; with ``rescale_missing`` the others make up for it. ``clip`` bounds
    the result if it is positive (5 in the paper's loss).
    """
    judged = batch.components_given
    advantages = decoupled_normalise(batch["components"], batch.groups, judged, eps=eps)
    present = judged.sum(1)
    if rescale_missing:
        advantages = advantages * judged.shape[1] / np.maximum(present, 1)
    if clip > 0:
        advantages = np.clip(advantages, -clip, clip)
    return batch.signal(keep=(present > 0) | ~batch.valid, advantages=advantages)
