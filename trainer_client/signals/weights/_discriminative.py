"""Sequence weights that set right answers against wrong ones."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def discriminative_weights(
    rewards: FloatArray,
    scores: FloatArray,
    groups: Groups,
    *,
    tau: float | None = 10.0,
    quality: FloatArray | None = None,
) -> FloatArray:
    """``[N]`` gradient of a prompt's discriminative objective with respect to its answers' scores.

    Right answers share +1, wrong ones -1, so that a prompt's weights cancel and weigh 2 in total whatever its
    success rate. A prompt without both kinds gets 0.

    Args:
        rewards: ``[N]``; right from 1 on, wrong up to 0; rows between take no part.
        scores: ``[N]`` mean log-probability, or mean ratio, of each answer.
        groups: partition of the rows.
        tau: wrong answers share by the softmax of ``scores / tau``; None shares alike (DisCO-b).
        quality: ``[N]`` right answers share by its softmax; None alike (DisCO).

    Raises:
        BadOption: ``tau`` is not positive.

    Source: DisCO (arXiv 2505.12366), DRPO (arXiv 2510.04474).
    """
    if tau is not None and not tau > 0:
        raise BadOption(f"tau: {tau} must be positive; None shares alike")
    right, wrong = rewards >= 1.0, rewards <= 0.0
    both = groups.spread(groups.any(right) & groups.any(wrong))
    alike = np.zeros(rewards.size)
    of_right = _shares(alike if quality is None else quality, right & both, groups)
    return of_right - _shares(alike if tau is None else scores / tau, wrong & both, groups)


def _shares(logits: FloatArray, where: BoolArray, groups: Groups) -> FloatArray:
    """Softmax within each group over the rows that count."""
    top = groups.max(np.where(where, logits, -np.inf))
    shifted = groups.apply(np.subtract, logits, np.where(np.isfinite(top), top, 0.0))
    raised = np.where(where, np.exp(np.where(where, shifted, 0.0)), 0.0)
    total = groups.sum(raised)
    shares: FloatArray = groups.apply(np.divide, raised, np.where(total > 0, total, 1.0))
    return shares
