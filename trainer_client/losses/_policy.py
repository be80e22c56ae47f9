"""Losses of policy gradients, the KL penalty, and their average over tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer_client.signals.parts import Aggregation, KlKind, token_weights


def aggregate(
    token_losses: Tensor,
    mask: Tensor,
    mode: Aggregation,
    *,
    horizon: int | None = None,
    tokens: int | None = None,
    sequences: int | None = None,
) -> Tensor:
    """Scalar loss of ``[N, T]`` token losses.

    Args:
        token_losses: ``[N, T]``.
        mask: ``[N, T]`` generated tokens of rows that take part.
        mode: see `trainer_client.signals.parts.token_weights`.
        horizon: constant length of the modes that divide by one.
        tokens: generated tokens of the whole optimiser step, where this is a micro-batch or a rank's part of it: the
            parts' losses then add up to the step's. None if this is all of it.
        sequences: the same for rows that have a token.
    """
    counts = {"tokens": tokens, "sequences": sequences}
    weights = token_weights(mask.bool().cpu().numpy(), mode, horizon=horizon, **counts)
    return (torch.from_numpy(weights).to(token_losses) * torch.where(mask.bool(), token_losses, 0.0)).sum()


def kl_penalty(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, kind: KlKind = "k3") -> Tensor:
    """``[N, T]`` differentiable twin of `trainer_client.signals.parts.kl_estimate`; 0 outside the mask.

    The gradient of ``k1`` vanishes in expectation over the policy's own samples; as a loss, choose another.

    Args:
        logprobs: ``[N, T]`` under the policy.
        ref_logprobs: ``[N, T]`` under the reference policy.
        mask: ``[N, T]`` generated tokens; what stands elsewhere reaches no gradient.
        kind: estimator.

    Raises:
        ValueError: the kind is unknown.
    """
    d = _within(logprobs, mask) - _within(ref_logprobs, mask)
    if kind == "k1":
        return d
    if kind == "abs":
        return d.abs()
    if kind == "k2":
        return 0.5 * d * d
    if kind == "k3":
        x = (-d).clamp(-20.0, 20.0)
        return (x.exp() - x - 1.0).clamp(-10.0, 10.0)
    raise ValueError(f"kind: {kind!r} is not one of k1, abs, k2, k3")


def clipped_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
) -> Tensor:
    """``[N, T]`` PPO token losses ``max(-rho * A, -clip(rho, 1 - low, 1 + high) * A)``.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        advantages: ``[N, T]``, from ``signal.over_tokens(mask)``.
        mask: ``[N, T]`` generated tokens; what stands elsewhere, infinity and NaN included, reaches no gradient.
        clip_low: how far the ratio may fall. DAPO's clip-higher is ``clip_low=0.2, clip_high=0.28``.
        clip_high: how far it may rise.
        dual_clip: bound on the loss of a negative advantage, in multiples of it (arXiv 1912.09729).
    """
    ratio = (_within(logprobs, mask) - _within(old_logprobs, mask)).clamp(-20.0, 20.0).exp()
    return _clipped(ratio, _within(advantages, mask), clip_low, clip_high, dual_clip)


def gspo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
) -> Tensor:
    """``[N, T]`` token losses of GSPO (arXiv 2507.18071), to be aggregated with ``seq-mean-token-mean``.

    The ratio is one per row, ``exp(mean over tokens of log rho)``; its gradient reaches every token.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        advantages: ``[N]``, one per row: a sequence ratio has no use for credit by token.
        mask: ``[N, T]`` generated tokens.
        clip_low: how far the ratio may fall.
        clip_high: how far it may rise.
    """
    inside = mask.bool()
    logprobs = _within(logprobs, mask)
    row = (logprobs - _within(old_logprobs, mask)).sum(-1) / inside.sum(-1).clamp(min=1)
    ratio = (logprobs - logprobs.detach() + row.detach().unsqueeze(-1)).clamp(max=10.0).exp()
    return _clipped(ratio, advantages.unsqueeze(-1).expand_as(ratio), clip_low, clip_high, None)


def cispo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float | None = None,
    clip_high: float = 4.0,
) -> Tensor:
    """``[N, T]`` token losses of CISPO (arXiv 2506.13585): ``-stopgrad(clip(rho)) * A * logp``.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        advantages: ``[N, T]``.
        mask: ``[N, T]`` generated tokens; what stands elsewhere, infinity and NaN included, reaches no gradient.
        clip_low: lowest ratio; None for none, as in TRL.
        clip_high: highest ratio, as an absolute bound.
    """
    logprobs = _within(logprobs, mask)
    gap = (logprobs - _within(old_logprobs, mask)).clamp(-20.0, 20.0)
    ratio = gap.exp().clamp(min=clip_low, max=clip_high)
    return -ratio.detach() * _within(advantages, mask) * logprobs


def _within(values: Tensor, mask: Tensor) -> Tensor:
    """Zeros outside the mask, put there before any arithmetic: 0 times the gradient of infinity is NaN."""
    return torch.where(mask.bool(), values, 0.0)


def _clipped(ratio: Tensor, advantages: Tensor, low: float, high: float, dual: float | None) -> Tensor:
    losses = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1.0 - low, 1.0 + high))
    if dual is None:
        return losses
    return torch.where(advantages < 0, torch.minimum(-advantages * dual, losses), losses)
