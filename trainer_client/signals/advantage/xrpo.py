"""XRPO's sharpening: right answers that the policy found unlikely among their siblings gain more.

XRPO (arXiv 2510.06672), public reviews and a third party's arithmetic.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Laws, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.tokens import mean_logprobs


@register(
    "xrpo",
    paper="xrpo",
    needs="group",
    inputs=("rewards", "groups", "old_logprobs", "lengths|mask"),
    provenance="secondary",
    formula="right rows: A + min(max(lam * (1 - eta), 0), kappa * A), eta = exp(s - mean s); A from GRPO",
    laws=Laws(constant=True),
)
def xrpo(
    batch: SignalBatch,
    *,
    lam: float = 2.5,
    kappa: float = 0.5,
    correct: float = 1.0,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """XRPO's sharpening: right answers that the policy found unlikely among their siblings gain more.

    ``s`` is a row's mean log-probability. Rows that are wrong or have no positive advantage keep what GRPO gives them.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    scores = mean_logprobs(batch["old_logprobs"], batch.mask)[valid]
    eta = np.exp(np.minimum(groups.apply(np.subtract, scores, groups.mean(scores)), 50.0))
    plain = group_normalise(rewards, groups, ddof=ddof, eps=eps)
    bonus = np.minimum(np.maximum(lam * (1.0 - eta), 0.0), kappa * np.maximum(plain, 0.0))
    return batch.signal(advantages=batch.scatter(plain + np.where(rewards >= correct, bonus, 0.0)))
