"""Ways to average token losses, as weights: the loss is ``(weights * token_losses).sum()``."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import OptionError

Aggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm", "dr-grpo"]


def token_weights(
    mask: BoolArray,
    mode: Aggregation,
    *,
    horizon: int | None = None,
    tokens: int | None = None,
    sequences: int | None = None,
) -> FloatArray:
    """``[N, T]`` factor of each token's loss.

    Args:
        mask: ``[N, T]`` generated tokens of rows that take part; a row without tokens counts as no sequence.
        mode: ``token-mean`` (DAPO): every token alike. ``seq-mean-token-sum``: sums of rows, averaged over rows.
            ``seq-mean-token-mean`` (GRPO): means of rows, averaged over rows. ``seq-mean-token-sum-norm``:
            all tokens over a constant length, not averaged over rows (verl's rendering of Dr. GRPO).
            ``dr-grpo``: the same averaged over rows, as in its paper and TRL.
        horizon: that constant length; the width of the mask when None.
        tokens: generated tokens of the whole optimiser step, of which the mask is a part; None if it is all of it.
        sequences: the same for rows that have a token.

    Raises:
        OptionError: the mode is unknown, or a count is smaller than the mask's own.

    Source: volcengine/verl verl/trainer/ppo/core_algos.py ``agg_loss`` @b178a3cd.
    """
    if mode not in get_args(Aggregation):
        raise OptionError(f"mode: {mode!r} is not one of {', '.join(get_args(Aggregation))}")
    counted = mask.astype(np.float64)
    lengths = counted.sum(1, keepdims=True)
    count = _count("tokens", tokens, int(lengths.sum()))
    rows = _count("sequences", sequences, int((lengths > 0).sum()))
    if mode == "token-mean":
        return counted / max(count, 1)
    if mode in ("seq-mean-token-sum-norm", "dr-grpo"):
        counted = counted / (mask.shape[1] if horizon is None else horizon)
    elif mode == "seq-mean-token-mean":
        counted = counted / np.maximum(lengths, 1.0)
    if mode == "seq-mean-token-sum-norm":
        return counted
    averaged: FloatArray = counted / max(rows, 1)
    return averaged


def _count(name: str, given: int | None, own: int) -> int:
    if given is not None and given < own:
        raise OptionError(f"{name}: {given} for the whole step, but this part of it has {own}")
    return own if given is None else given
