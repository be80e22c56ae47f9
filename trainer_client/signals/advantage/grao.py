"""Learning to Align, Aligning to Learn: A Unified Approach for Self-Optimized Alignment (GRAO).

GRAO (arXiv 2508.07750) eq. 2 to 4; ddof 0 as printed, eps is ours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Laws,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.prompts import extreme_row
from trainer_client.signals.parts.weighted import weighted_normalise

PAPER = Paper("grao", __doc__, provenance="paper")


@register(
    "grao",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "references", "lengths|mask"),
    formula="rollout: (1 + lam) * A_i / G; reference: beta * A_y - lam * mean(A_i); per token over the length",
    laws=Laws(shift=True, scale="invariant", constant=True),
)
def grao(
    batch: SignalBatch,
    *,
    beta: float = 0.5,
    lam: float = 0.6,
    statistics: Literal["all", "rollouts"] = "all",
    eps: float = 1e-6,
) -> Signal:
    """GRAO: learns from its rollouts, imitates a reference answer and moves the one against the other.

    The objective is a weighted log-likelihood, ``sum_i a_i * mean_t logp_it``, averaged over prompts by the trainer;
    ``advantages`` are the ``a_i``, ``token_advantages`` those over each row's length. No ratio and no clip.
    References are rows of their own with a reward; ``statistics`` says whether they enter the mean and deviation.
    The pairs are reference over worst rollout, where no rollout beats the reference.
    """
    valid, groups = batch.taken()
    rewards, references = batch.rewards[valid], batch["references"][valid]
    counted = np.ones(rewards.size) if statistics == "all" else (~references).astype(np.float64)
    relative = weighted_normalise(rewards, groups, counted, eps=eps)
    weights = batch.scatter(reference_weights(relative, references, groups, beta=beta, lam=lam))
    lengths = np.maximum(batch.lengths, 1)
    return batch.signal(
        advantages=weights,
        token_advantages=np.where(batch.mask, (weights / lengths)[:, None], 0.0),
        pairs=_imitation_pairs(batch),
    )


def _imitation_pairs(batch: SignalBatch) -> list[Pair]:
    """Each prompt's best reference over its worst rollout, where no rollout beats that reference."""
    references, rewards, groups = batch.valid & batch["references"], batch.rewards, batch.groups
    rollouts = batch.valid & ~references
    best = extreme_row(groups, rewards, references)
    top, worst = (extreme_row(groups, rewards, rollouts, lowest=low) for low in (False, True))
    groups_with_both = np.flatnonzero((best >= 0) & (worst >= 0))
    chosen = groups_with_both[
        (rewards[best[groups_with_both]] >= rewards[top[groups_with_both]])
        & (rewards[best[groups_with_both]] > rewards[worst[groups_with_both]])
    ]
    margins = rewards[best[chosen]] - rewards[worst[chosen]]
    rows = zip(best[chosen].tolist(), worst[chosen].tolist(), margins.tolist(), strict=True)
    return [Pair(better, worse, margin=margin) for better, worse, margin in rows]


def reference_weights(
    advantages: FloatArray, references: BoolArray, groups: Groups, *, beta: float = 0.5, lam: float = 0.6
) -> FloatArray:
    """``[N]`` factor of each row's length-averaged log-probability in GRAO's objective, for each prompt.

    With ``G`` rollouts and ``R`` references: a rollout gets ``(1 + lam) * A_i / G``, a reference
    ``(beta * A_y - lam * mean(A_i)) / R``. This is the published sum with its terms collected by row; without a
    reference the second term, which compares with it, falls away and ``1 + lam`` stays.

    Args:
        advantages: ``[N]`` of rollouts and references.
        references: ``[N]`` rows that are reference answers.
        groups: partition of the rows.
        beta: weight of imitating the reference.
        lam: weight of moving rollouts against the reference.

    Source: GRAO (arXiv 2508.07750) eq. 2 to 4.
    """
    rollouts = (~references).astype(np.float64)
    number = np.maximum(groups.sum(rollouts), 1.0)
    mean = groups.sum(rollouts * advantages) / number
    sizes = np.maximum(groups.sum(references), 1.0)
    of_reference = groups.apply(np.divide, groups.apply(np.subtract, beta * advantages, lam * mean), sizes)
    of_rollout = groups.apply(np.divide, (1.0 + lam) * advantages, number)
    return np.where(references, of_reference, of_rollout)
