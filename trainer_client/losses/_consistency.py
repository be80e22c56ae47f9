"""Losses that compare the policy with itself under another input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, pad

from trainer_client.losses._policy import kl_penalty


def perception_loss(logprobs: Tensor, masked_logprobs: Tensor, weights: Tensor, *, cap: float | None = None) -> Tensor:
    """Scalar term of PAPO: minus the weighted divergence from the answer given a spoiled image.

    Args:
        logprobs: ``[N, T]`` under the policy.
        masked_logprobs: ``[N, T]`` of the same tokens given the spoiled image.
        weights: ``[N, T]`` from ``method("papo")``, gamma and the average included.
        cap: bound on a token's divergence.

    Source: PAPO (arXiv 2507.06448); MikeWangWZHL/PAPO verl/workers/actor/dp_actor.py @fb63bf45.
    """
    divergence = kl_penalty(logprobs, masked_logprobs, weights != 0, "k3")
    if cap is not None:
        divergence = divergence.clamp(max=cap)
    return -(weights * divergence).sum()


def double_entropy(
    logprobs: Tensor, masked_logprobs: Tensor, mask: Tensor, *, weight: float = 0.03, masked_weight: float = 0.03
) -> Tensor:
    """Scalar term of PAPO that stops `perception_loss` from raising the entropies of both answers.

    Args:
        logprobs: ``[N, T]`` under the policy.
        masked_logprobs: ``[N, T]`` of the same tokens given the spoiled image.
        mask: ``[N, T]`` generated tokens.
        weight: of ``-mean logp``; published 0.03 to 0.05.
        masked_weight: of the same given the spoiled image.

    Source: PAPO (arXiv 2507.06448).
    """
    inside = mask.bool()
    per_token = weight * logprobs + masked_weight * masked_logprobs
    return -torch.where(inside, per_token, 0.0).sum() / inside.sum().clamp(min=1)


def feature_contrast(first: Tensor, second: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Scalar SimCSE term of a reward model: two views of a pair are nearest to each other.

    Args:
        first: ``[P, H]`` features under one dropout mask, or differences of chosen and rejected ones.
        second: ``[P, H]`` under another.
        temperature: divisor of the cosines.

    Source: Secrets of RLHF II (arXiv 2401.06080) section 2.5; SimCSE (arXiv 2104.08821).
    """
    similar = normalize(first, dim=-1) @ normalize(second, dim=-1).T / temperature
    return cross_entropy(similar, torch.arange(first.shape[0], device=first.device))


def noise_contrast(
    clean: Tensor,
    noisy: Tensor,
    mask: Tensor,
    *,
    temperature: float = 1.0,
    padding: float = -1e4,
) -> Tensor:
    """Scalar CoIPO loss of consecutive pairs of prompts, each seen clean and noisy.

    ``exp(min(0, x))``, ``x = K(N1, O1) - K(N1, O2) + K(N2, O2) - K(N2, O1)``: what a noisy prompt leads to is to be
    nearer to its own clean answer than to that of the other prompt. It has no gradient from ``x = 0`` on.

    Args:
        clean: ``[N, T, V]`` logits of the answer given the clean prompts, N even.
        noisy: ``[N, T, V]`` given the noisy ones.
        mask: ``[N, T]`` answer tokens.
        temperature: of the softmax.
        padding: logit that fills the shorter of two answers that are compared.

    Raises:
        ValueError: an odd number of rows leaves one without a partner.

    Source: CoIPO; vegetable-yx/CoIPO ContrastiveLlama.py @7b6f8796.
    """
    if clean.shape[0] % 2:
        raise ValueError(f"clean: {clean.shape[0]} rows; an odd one has no partner")
    losses = []
    for row in range(0, clean.shape[0], 2):
        first, second = mask[row].bool(), mask[row + 1].bool()
        clean_1, clean_2 = clean[row][first] / temperature, clean[row + 1][second] / temperature
        noisy_1, noisy_2 = noisy[row][first] / temperature, noisy[row + 1][second] / temperature
        gap = _divergence(noisy_1, clean_1, padding) - _divergence(noisy_1, clean_2, padding)
        gap = gap + _divergence(noisy_2, clean_2, padding) - _divergence(noisy_2, clean_1, padding)
        losses.append(gap.clamp(max=0.0).exp())
    return torch.stack(losses).mean() if losses else clean.sum() * 0.0


def _divergence(model: Tensor, target: Tensor, padding: float) -> Tensor:
    """``sum p log(p / (q + 1e-10))`` over the length of the longer answer; ``p`` of the target, ``q`` of the model."""
    width = max(model.shape[0], target.shape[0], 1)
    q, log_p = (
        torch.log_softmax(pad(side, (0, 0, 0, width - side.shape[0]), value=padding), -1) for side in (model, target)
    )
    return (log_p.exp() * (log_p - (q.exp() + 1e-10).log())).sum() / width
