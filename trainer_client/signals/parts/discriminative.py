"""Weights of sequences that compare right answers with wrong ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import OptionError
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Signal
from trainer_client.signals.parts.tokens import mean_logprobs

Score = Literal["likelihood", "ratio"]


def weighed(batch: SignalBatch, score: Score, tau: float | None, quality: FloatArray | None, name: str) -> Signal:
    """Signed weights for a trainer that averages ``sum_i w_i * s_i`` over prompts, and the same per token."""
    valid, groups = batch.taken()
    mask = batch.mask
    ratio = _ratio_weights(batch)
    if score == "ratio":
        scores = mean_logprobs(ratio, mask)
    else:
        scores = mean_logprobs(batch["logprobs" if "logprobs" in batch else "old_logprobs"], mask)
    chosen = None if quality is None else quality[valid]
    weights = discriminative_weights(batch.rewards[valid], scores[valid], groups, tau=tau, quality=chosen)
    full = batch.scatter(weights)
    by_token = np.where(mask, (full / np.maximum(batch.lengths, 1))[:, None], 0.0)
    return batch.signal(
        advantages=full,
        token_advantages=by_token * ratio if score == "ratio" else by_token,
        report={f"{name}/prompts": len(groups)},
    )


def _ratio_weights(batch: SignalBatch) -> FloatArray:
    """``[N, T]`` ratio of the policy to the sampling policy; 1 where the batch carries only one of them."""
    if "logprobs" in batch and "old_logprobs" in batch:
        ratio: FloatArray = np.exp(np.where(batch.mask, batch["logprobs"] - batch["old_logprobs"], 0.0))
        return ratio
    return np.ones(batch.mask.shape)


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
        OptionError: ``tau`` is not positive.

    Source: DisCO (arXiv 2505.12366), DRPO (arXiv 2510.04474).
    """
    if tau is not None and not tau > 0:
        raise OptionError(f"tau: {tau} must be positive; None shares alike")
    right, wrong = rewards >= 1.0, rewards <= 0.0
    mixed = groups.spread(groups.any(right) & groups.any(wrong))
    alike = np.zeros(rewards.size)
    of_right = _shares(alike if quality is None else quality, right & mixed, groups)
    return of_right - _shares(alike if tau is None else scores / tau, wrong & mixed, groups)


def _shares(logits: FloatArray, where: BoolArray, groups: Groups) -> FloatArray:
    """Softmax within each group over the rows that count."""
    top = groups.max(np.where(where, logits, -np.inf))
    shifted = groups.apply(np.subtract, logits, np.where(np.isfinite(top), top, 0.0))
    raised = np.where(where, np.exp(np.where(where, shifted, 0.0)), 0.0)
    total = groups.sum(raised)
    shares: FloatArray = groups.apply(np.divide, raised, np.where(total > 0, total, 1.0))
    return shares
