"""Correction for tokens that were sampled with help in the context and are trained without it."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption


def guidance_weights(
    plain: FloatArray, helped: FloatArray, mask: BoolArray, rows: BoolArray, *, bound: float = 5.0
) -> FloatArray:
    """``[N, T]`` ``exp(clip(logp without help - logp with it))`` on helped rows, 1 on others, 0 outside the mask.

    A trainer that knows only ``logp_old(o_t | q)`` multiplies its ratio by this, and so has the behaviour policy in
    the denominator.

    Args:
        plain: ``[N, T]`` log-probabilities under the sampling policy without the help in the context.
        helped: ``[N, T]`` with it.
        mask: ``[N, T]`` generated tokens.
        rows: ``[N]`` rows that were generated with help.
        bound: largest absolute log-ratio.

    Raises:
        BadOption: the bound is not positive.

    Source: Guide-GRPO (arXiv 2506.13923), reconstructed from its abstract; the bound is ours.
    """
    if not bound > 0:
        raise BadOption(f"bound: {bound} must be positive")
    ratio = np.exp(np.clip(np.where(mask, plain - helped, 0.0), -bound, bound))
    return np.where(mask, np.where(rows[:, None], ratio, 1.0), 0.0)
