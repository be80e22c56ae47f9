"""Losses of whole answers: discriminative objectives, weighted likelihood, regression of log-ratios."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainer_client.losses._policy import kl_penalty

SequenceScore = Literal["likelihood", "ratio"]


class Constrained(NamedTuple):
    """A loss under a bound on the divergence.

    Attributes:
        loss: to minimise: the negative objective and the penalty of the bound.
        objective: what is maximised.
        kl: estimated divergence from the sampling policy, mean over tokens.
    """

    loss: Tensor
    objective: Tensor
    kl: Tensor


def discriminative(
    logprobs: Tensor,
    old_logprobs: Tensor,
    mask: Tensor,
    rewards: Tensor,
    groups: Tensor,
    *,
    score: SequenceScore = "likelihood",
    tau: float | None = 10.0,
    quality: Tensor | None = None,
    kl_bound: float = 1e-4,
    kl_weight: float = 1e3,
    kl_kind: Literal["k1", "k3"] = "k1",
) -> Constrained:
    """DisCO and DRPO: right answers score above the hardest wrong ones, within a trust region.

    For each prompt, the weighted mean score of its right answers less ``tau * log mean exp(s / tau)`` over its wrong
    ones; averaged over all prompts, those without both kinds counting as 0. The gradient with respect to the scores is
    `trainer_client.signals.parts.discriminative_weights`.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        mask: ``[N, T]`` generated tokens; a row without any takes no part.
        rewards: ``[N]``; right from 1 on, wrong up to 0, others take no part.
        groups: ``[N]`` integer ids of the prompts; sizes may differ.
        score: mean log-probability of an answer, or mean ratio to the sampling policy.
        tau: temperature over wrong answers; None averages them (DisCO-b). Published: 10 for ``likelihood``, 1 for
            ``ratio``.
        quality: ``[N]`` right answers weigh by its softmax; see `length_quality` for DRPO. None weighs them alike.
        kl_bound: divergence that is free.
        kl_weight: steepness of the penalty beyond it: ``max(kl_weight * (kl - kl_bound), 0) * kl``, the first factor
            without gradient.
        kl_kind: estimator of the divergence from the sampling policy.

    Source: DisCO (arXiv 2505.12366), DRPO (arXiv 2510.04474); Optimization-AI/DisCO @bd2b0781, Optimization-AI/DRPO
    @405f7026 verl/verl/trainer/ppo/core_algos.py.
    """
    sides = _sides(logprobs, old_logprobs, mask, rewards, groups, score, quality)
    objective = (sides.attract - _repel(sides, tau)).sum() / sides.prompts
    return _constrained(objective, logprobs, old_logprobs, mask, kl_bound, kl_weight, kl_kind)


def release_discriminative(
    logprobs: Tensor,
    old_logprobs: Tensor,
    mask: Tensor,
    rewards: Tensor,
    groups: Tensor,
    *,
    score: SequenceScore = "likelihood",
    tau: float = 10.0,
    quality: Tensor | None = None,
    kl_bound: float = 1e-4,
    kl_weight: float = 1e3,
    kl_kind: Literal["k1", "k3"] = "k1",
) -> Constrained:
    """`discriminative` as released: ``S / stopgrad(S)`` replaces ``log S``, which changes the value.

    The gradient is the same; the figure that the release logs is not the objective. Arguments as there.
    """
    sides = _sides(logprobs, old_logprobs, mask, rewards, groups, score, quality)
    log_mean = _repel(sides, tau)
    # Gradient of tau * log S, value of tau.
    pull = log_mean - log_mean.detach() + tau * sides.informative
    objective = (sides.attract - pull).sum() / sides.prompts
    return _constrained(objective, logprobs, old_logprobs, mask, kl_bound, kl_weight, kl_kind)


def length_quality(mask: Tensor, *, max_length: int | None = None, sharpness: float = 0.1) -> Tensor:
    """``[N]`` DRPO's quality of an answer, in float64: ``(1 - length / max_length) / sharpness``.

    Args:
        mask: ``[N, T]`` generated tokens.
        max_length: generation limit; the width of the mask when None.
        sharpness: the published Lambda; a large one weighs all lengths alike.
    """
    limit = mask.shape[-1] if max_length is None else max_length
    return (1.0 - mask.bool().sum(-1).double() / limit) / sharpness


def weighted_likelihood(logprobs: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Scalar ``-sum_i w_i * mean_t logp_it``, for methods whose advantages are such weights (GRAO, DisCO, DRPO).

    Args:
        logprobs: ``[N, T]`` under the policy.
        mask: ``[N, T]`` generated tokens.
        weights: ``[N]``, of either sign.
    """
    inside = mask.bool()
    return -(weights * _row_mean(logprobs, inside)).sum()


def group_regression(
    logprobs: Tensor, old_logprobs: Tensor, mask: Tensor, advantages: Tensor, groups: Tensor, *, eps: float = 1e-4
) -> Tensor:
    """Scalar loss of Reg-GRPO: the standardised log-ratios of a group are fitted to its advantages.

    ``mean_i (A_i - (rho_i - mean) / sqrt(var + eps^2))^2``, ``rho`` the log-ratio of the whole answer. The stabiliser
    stands inside the root, where the gradient exists at the first step too, all ratios being 1.

    Args:
        logprobs: ``[N, T]`` under the policy.
        old_logprobs: ``[N, T]`` under the sampling policy.
        mask: ``[N, T]`` generated tokens; a row without any takes no part.
        advantages: ``[N]`` targets, from ``method("reg_grpo")``.
        groups: ``[N]`` integer ids of the prompts.
        eps: stabiliser; not printed in the paper.

    Source: DeepVideo-R1 (arXiv 2506.07464) eq. 5 to 8.
    """
    inside = mask.bool()
    live = inside.any(-1)
    rho = torch.where(inside, logprobs - old_logprobs, 0.0).sum(-1)[live]
    index, number = _index(groups[live])
    size = _sum(torch.ones_like(rho), index, number)
    centred = rho - (_sum(rho, index, number) / size)[index]
    variance = _sum(centred * centred, index, number) / size
    fitted = centred / (variance + eps * eps).sqrt()[index]
    return ((advantages[live] - fitted) ** 2).mean() if rho.numel() else logprobs.sum() * 0.0


class _Sides(NamedTuple):
    """Per prompt: mean score of the right; per row: scores and which are wrong, in prompts that have both."""

    attract: Tensor
    scores: Tensor
    wrong: Tensor
    prompt: Tensor
    informative: Tensor
    prompts: int


def _sides(
    logprobs: Tensor,
    old_logprobs: Tensor,
    mask: Tensor,
    rewards: Tensor,
    groups: Tensor,
    score: SequenceScore,
    quality: Tensor | None,
) -> _Sides:
    inside = mask.bool()
    live = inside.any(-1)
    values = logprobs if score == "likelihood" else torch.where(inside, logprobs - old_logprobs, 0.0).exp()
    scores = _row_mean(values, inside)[live]
    index, number = _index(groups[live])
    right, wrong = rewards[live] >= 1, rewards[live] <= 0
    informative = (_sum(right.to(scores), index, number) > 0) & (_sum(wrong.to(scores), index, number) > 0)
    right, wrong = right & informative[index], wrong & informative[index]
    logits = torch.zeros_like(scores) if quality is None else quality[live].to(scores)
    total = _log_sum(logits, right, index, number)
    share = torch.where(right, (logits - total[index]).exp(), 0.0)
    return _Sides(_sum(share * scores, index, number), scores, wrong, index, informative.to(scores), max(number, 1))


def _repel(sides: _Sides, tau: float | None) -> Tensor:
    """``[Q]`` what the wrong answers score together; 0 for a prompt without both kinds."""
    number = sides.attract.shape[0]
    wrong = sides.wrong.to(sides.scores)
    count = _sum(wrong, sides.prompt, number).clamp(min=1)
    if tau is None:
        return _sum(wrong * sides.scores, sides.prompt, number) / count
    return tau * sides.informative * (_log_sum(sides.scores / tau, sides.wrong, sides.prompt, number) - count.log())


def _constrained(
    objective: Tensor,
    logprobs: Tensor,
    old: Tensor,
    mask: Tensor,
    bound: float,
    weight: float,
    kind: Literal["k1", "k3"],
) -> Constrained:
    inside = mask.bool()
    tokens = kl_penalty(old, logprobs, mask, kind)
    kl = tokens.sum() / inside.sum().clamp(min=1)
    penalty = (weight * (kl - bound)).clamp(min=0.0).detach() * kl
    return Constrained(penalty - objective, objective, kl)


def _row_mean(values: Tensor, inside: Tensor) -> Tensor:
    return torch.where(inside, values, 0.0).sum(-1) / inside.sum(-1).clamp(min=1)


def _index(groups: Tensor) -> tuple[Tensor, int]:
    labels, index = torch.unique(groups, return_inverse=True)
    return index, labels.numel()


def _sum(values: Tensor, index: Tensor, number: int) -> Tensor:
    return torch.zeros(number, dtype=values.dtype, device=values.device).index_add(0, index, values)


def _log_sum(values: Tensor, where: Tensor, index: Tensor, number: int) -> Tensor:
    """``[Q]`` log of the sum of ``exp`` over rows that count; 0 for a prompt without any."""
    top = torch.full((number,), -torch.inf, dtype=values.dtype, device=values.device)
    top = top.scatter_reduce(0, index, torch.where(where, values.detach(), -torch.inf), "amax")
    top = torch.where(top.isfinite(), top, 0.0)
    total = _sum(torch.where(where, (values - top[index]).exp(), 0.0), index, number)
    return torch.where(total > 0, total, 1.0).log() + top
