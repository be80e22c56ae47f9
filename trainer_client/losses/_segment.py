"""Losses in which the tokens of a segment share one importance ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer_client.losses._policy import _clipped


def segment_ratio_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    segments: Tensor,
    mask: Tensor,
    *,
    limit: int,
    clip_low: float = 0.06,
    clip_high: float = 0.08,
) -> Tensor:
    """``[N, T]`` clipped losses with one ratio per item of a list: ``exp(mean over its tokens of log rho)``.

    The gradient of a segment's ratio reaches each of its tokens. Aggregate with ``token-mean``.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        advantages: ``[N, T]``, from the method ``rank_grpo``.
        segments: ``[N, T]`` number of the item that a token belongs to, from 0.
        mask: ``[N, T]`` tokens that take part.
        limit: items asked for; tokens of items from ``limit`` on share one segment.
        clip_low: how far a ratio may fall.
        clip_high: how far it may rise.

    Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/trl/rank_grpo_trainer.py @0808d82c.
    """
    inside = mask.bool()
    slot = segments.clamp(0, limit).long()
    gap = torch.where(inside, logprobs - old_logprobs, 0.0)
    bins = torch.zeros(*gap.shape[:-1], limit + 1, dtype=gap.dtype, device=gap.device)
    total = bins.scatter_add(-1, slot, gap)
    count = bins.scatter_add(-1, slot, inside.to(gap.dtype))
    ratio = (total / count.clamp(min=1.0)).clamp(-20.0, 20.0).exp().gather(-1, slot)
    return torch.where(inside, _clipped(ratio, torch.where(inside, advantages, 0.0), clip_low, clip_high, None), 0.0)
