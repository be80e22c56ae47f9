"""Bonuses for doing something better than one's siblings."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def consistency_bonus(
    accuracy: FloatArray,
    likelihood: FloatArray,
    known: BoolArray,
    groups: Groups,
    *,
    coefficient: float = 0.5,
    margin: float = 0.01,
    ceiling: float | None = 0.95,
    floor: float = 0.1,
) -> FloatArray:
    """``[N]`` bonus of accurate rows whose answer follows from their reasoning as well as their peers' does.

    The peers are the rows of the group with ``accuracy > floor`` and at least the group's mean accuracy. A peer whose
    likelihood (cut at ``ceiling``) reaches the peers' mean less ``margin`` gets ``coefficient * accuracy``.

    Args:
        accuracy: ``[N]``.
        likelihood: ``[N]`` ``exp(mean log-probability of the answer's tokens given the reasoning)`` under a slow
            reference model.
        known: ``[N]`` rows that have one; a row without an answer to score gets no bonus and joins no mean.
        groups: partition of the rows.
        coefficient: factor of the accuracy.
        margin: slack below the peers' mean.
        ceiling: likelihoods above count as this, so that certainty alone does not win; None for no bound.
        floor: accuracy that a peer must pass.

    Source: GRPO-CARE, TencentARC/GRPO-CARE src/r1-v/src/open_r1/trainer/grpo_trainer_ref_ema.py @b0628fcc.
    """
    capped = likelihood if ceiling is None else np.minimum(likelihood, ceiling)
    # Equal values may fall short of their own rounded mean, here and below.
    peers = (accuracy > floor) & (accuracy >= groups.spread(groups.mean(accuracy)) - 1e-12) & known
    number = groups.sum(peers)
    mean = groups.sum(np.where(peers, capped, 0.0)) / np.maximum(number, 1)
    reached = capped >= groups.spread(mean) - margin - 1e-12
    return np.where(peers & reached, coefficient * accuracy, 0.0)
