"""Advantages spread over tokens by what a teacher thinks of each token."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption

SignOf = Literal["row", "token"]


def contrast_credit(
    advantages: FloatArray,
    contrast: FloatArray,
    mask: BoolArray,
    *,
    mix: float,
    bound: float,
    sign_of: SignOf = "row",
) -> FloatArray:
    """``[N, T]``: ``A * ((1 - mix) + mix * clip(exp(sign(A) * contrast), 1 - bound, 1 + bound))`` within the mask.

    Tokens that the contrast speaks for gain when the row is good and lose when it is bad; the sign of an advantage
    never changes while ``bound`` is at most 1. The clip is applied to the exponent, so that nothing overflows.

    Args:
        advantages: ``[N, T]``, usually one value per row.
        contrast: ``[N, T]`` log-probability under the teacher less that under what it is compared with.
        mask: ``[N, T]`` generated tokens.
        mix: share of the weight, 0 to 1; 0 leaves the advantages as they are.
        bound: how far a weight may lie from 1.
        sign_of: the sign of the row's total (CEPO) or of the token's own advantage (RLSD).

    Raises:
        BadOption: ``mix`` is outside [0, 1] or ``bound`` is negative.

    Source: CEPO, ahmedheakl/CEPO verl/trainer/core_algos.py @7a9655d2.
    """
    if not 0.0 <= mix <= 1.0 or not bound >= 0.0:
        raise BadOption(f"mix: {mix} must lie in [0, 1], and bound: {bound} must not be negative")
    inside = np.where(mask, advantages, 0.0)
    sign = np.sign(inside.sum(1, keepdims=True)) if sign_of == "row" else np.sign(inside)
    low = np.log1p(-bound) if bound < 1.0 else -np.inf
    weight = np.exp(np.clip(sign * np.where(mask, contrast, 0.0), low, np.log1p(bound)))
    weighed: FloatArray = inside * ((1.0 - mix) + mix * weight)
    return weighed


def decayed_mix(start: float, step: int | None, decay_steps: int) -> float:
    """``start`` falling linearly to 0 over ``decay_steps``; constant when that is 0.

    Raises:
        BadOption: ``decay_steps`` is negative.
    """
    if decay_steps < 0:
        raise BadOption(f"decay_steps: {decay_steps} is negative; 0 keeps the mix as it is")
    return start * max(0.0, 1.0 - (step or 0) / decay_steps) if decay_steps else start
