"""Ways to average token losses, as weights: the loss is ``(weights * token_losses).sum()``."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import OptionError

Aggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm", "dr-grpo"]


def token_weights(mask: BoolArray, mode: Aggregation, *, horizon: int | None = None) -> FloatArray:
    """``[N, T]`` factor of each token's loss.

    Args:
        mask: ``[N, T]`` generated tokens of rows that take part; a row without tokens counts as no sequence.
        mode: ``token-mean`` (DAPO): every token alike. ``seq-mean-token-sum``: sums of rows, averaged over rows.
            ``seq-mean-token-mean`` (GRPO): means of rows, averaged over rows. ``seq-mean-token-sum-norm``:
            all tokens over a constant length, not averaged over rows (verl's rendering of Dr. GRPO).
            ``dr-grpo``: the same averaged over rows, as in its paper and TRL.
        horizon: that constant length; the width of the mask when None.

    Raises:
        OptionError: the mode is unknown.

    Source: volcengine/verl verl/trainer/ppo/core_algos.py ``agg_loss`` @b178a3cd.
    """
    if mode not in get_args(Aggregation):
        raise OptionError(f"mode: {mode!r} is not one of {', '.join(get_args(Aggregation))}")
    counted = mask.astype(np.float64)
    tokens = counted.sum(1, keepdims=True)
    if mode == "token-mean":
        return counted / max(float(tokens.sum()), 1.0)
    if mode in ("seq-mean-token-sum-norm", "dr-grpo"):
        counted = counted / (mask.shape[1] if horizon is None else horizon)
    elif mode == "seq-mean-token-mean":
        counted = counted / np.maximum(tokens, 1.0)
    if mode == "seq-mean-token-sum-norm":
        return counted
    averaged: FloatArray = counted / max(int((tokens > 0).sum()), 1)
    return averaged
