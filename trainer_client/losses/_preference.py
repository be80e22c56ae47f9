"""Losses of preference pairs, from sums of log-probabilities or from the scores of a reward model."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

PairLoss = Literal["sigmoid", "hinge", "ipo", "sppo"]


class Regularised(NamedTuple):
    """A preference loss with a likelihood term.

    Attributes:
        loss: to minimise.
        preference: the preference part alone.
        chosen: ``[P]`` implicit reward of each chosen answer.
        rejected: ``[P]`` implicit reward of each rejected answer.
    """

    loss: Tensor
    preference: Tensor
    chosen: Tensor
    rejected: Tensor


def preference_loss(
    chosen: Tensor, rejected: Tensor, *, kind: PairLoss = "sigmoid", beta: float = 0.1, flip_rate: float = 0.0
) -> Tensor:
    """``[P]`` loss of each pair.

    ``sigmoid`` is DPO's, and RSO's sigmoid-norm; ``hinge`` is SLiC's and RSO's hinge-norm; ``ipo`` regresses the
    difference on ``1 / (2 beta)``; ``sppo`` each side on half of it.

    Args:
        chosen: ``[P]`` log-ratio of each chosen answer to the reference policy, summed over tokens. For ``ipo``, the
            mean over tokens in TRL's rendering.
        rejected: ``[P]`` of each rejected answer.
        kind: which loss.
        beta: strength of the reference; the gamma of RSO.
        flip_rate: share of labels that are wrong; the loss is then unbiased under such noise (rDPO) and may be
            negative.

    Raises:
        ValueError: the kind is unknown, or ``flip_rate`` is outside [0, 0.5).

    Source: DPO (arXiv 2305.18290), RSO (arXiv 2309.06657), IPO (arXiv 2310.12036), SPPO (arXiv 2405.00675), rDPO
    (arXiv 2403.00409); huggingface/trl trl/trainer/dpo_trainer.py @f2cd5771.
    """
    if kind not in get_args(PairLoss):
        raise ValueError(f"kind: {kind!r} is not one of {', '.join(get_args(PairLoss))}")
    if not 0.0 <= flip_rate < 0.5:
        raise ValueError(f"flip_rate: {flip_rate} must lie in [0, 0.5); from there on labels say nothing")
    losses = _pair_loss(chosen, rejected, kind, beta)
    if flip_rate == 0.0:
        return losses
    flipped = _pair_loss(rejected, chosen, kind, beta)
    return ((1.0 - flip_rate) * losses - flip_rate * flipped) / (1.0 - 2.0 * flip_rate)


def regularised_preference(
    chosen: Tensor, rejected: Tensor, nll: Tensor, *, beta: float = 0.5, eta: float = 0.2
) -> Regularised:
    """RPO: the mean sigmoid loss and ``eta`` times the negative log-likelihood of a baseline answer.

    Args:
        chosen: ``[P]`` log-ratios.
        rejected: ``[P]`` log-ratios.
        nll: negative log-likelihood per token of the baseline answers (the chosen ones in the release), averaged over
            the tokens of the batch.
        beta: strength of the reference.
        eta: weight; up to 1e-8 the term is left out, whatever it is.

    Source: RPO (arXiv 2405.16436); YSLIU627/Regularized-Preference-Optimization
    OpenRLHF/openrlhf/trainer/dpo_trainer.py @d0389c4d.
    """
    preference = preference_loss(chosen, rejected, beta=beta).mean()
    loss = preference + eta * nll.mean() if eta > 1e-8 else preference
    return Regularised(loss, preference, beta * chosen, beta * rejected)


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    margins: Tensor | None = None,
    labels: Tensor | None = None,
    centre: float = 0.0,
) -> Tensor:
    """Scalar loss of a reward model: ``-log sigma(D - margin)`` averaged over pairs.

    Args:
        chosen: ``[P]`` scores.
        rejected: ``[P]`` scores. For response-conditioned pairs (MAPL), the scores of one answer under two prompts.
        margins: ``[P]`` how much better the chosen one has to score.
        labels: ``[P]`` probability that the preference holds; None for 1.
        centre: weight of ``(chosen + rejected)^2``, which keeps scores around 0.

    Source: Secrets of RLHF II (arXiv 2401.06080) sections 2.3, 2.4, its margin put inside the sigmoid, where it has a
    gradient; huggingface/trl trl/trainer/reward_trainer.py @f2cd5771.
    """
    gap = chosen - rejected if margins is None else chosen - rejected - margins
    losses = -logsigmoid(gap)
    if labels is not None:
        losses = labels * losses - (1.0 - labels) * logsigmoid(-gap)
    loss = losses.mean()
    return loss + centre * ((chosen + rejected) ** 2).mean() if centre else loss


def release_bradley_terry(chosen: Tensor, rejected: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Secrets of RLHF II as released: ``-log(sigma(D) + eps)``, so that a badly wrong pair has no gradient.

    Source: OpenLMLab/MOSS-RLHF rm/reward_trainer.py @4865d826.
    """
    return -(torch.sigmoid(chosen - rejected) + eps).log().mean()


def spread_objective(scores: Tensor) -> Tensor:
    """Scalar that MetaRM maximises before each step: the spread of scores of new answers to one prompt.

    ``2 / k^2 * sum_{i<j} sigma(|r_i - r_j|)``. Take the gradient of the pair loss at the parameters so moved, and apply
    it to the original ones.

    Args:
        scores: ``[k]``.

    Source: Secrets of RLHF II (arXiv 2401.06080) section 3.
    """
    first, second = torch.triu_indices(scores.numel(), scores.numel(), 1)
    return 2.0 / scores.numel() ** 2 * torch.sigmoid((scores[first] - scores[second]).abs()).sum()


def crossed_preference(scores: Tensor) -> Tensor:
    """Scalar inter-instruction loss of MAPL: the swap of the instruction has to swap the preference.

    Args:
        scores: ``[P, 2, 2]`` of instruction (the one that answer 0 meets first) by answer.

    Source: MAPL (arXiv 2505.12845), reconstructed from its abstract.
    """
    first, second = scores[:, 0, 0] - scores[:, 0, 1], scores[:, 1, 0] - scores[:, 1, 1]
    return (-logsigmoid(first - second) - logsigmoid(first) - logsigmoid(-second)).mean()


def contrastive_preference(first: Tensor, second: Tensor, labels: Tensor, *, bias: float = 1.0) -> Tensor:
    """Scalar CPL loss of pairs of segments, without a reference policy.

    Args:
        first: ``[P]`` scores, ``alpha * sum_t logp``.
        second: ``[P]`` scores.
        labels: ``[P]`` probability that the second is preferred; 0.5 for a tie.
        bias: factor of the score of the worse segment, in (0, 1].

    Source: CPL (arXiv 2310.13639); jhejna/cpl research/algs/cpl.py @b333667b.
    """
    return (labels * softplus(bias * first - second) + (1.0 - labels) * softplus(bias * second - first)).mean()


def ranked_preference(scores: Tensor, quality: Tensor, *, bias: float = 1.0) -> Tensor:
    """Scalar CPL loss over all pairs of a set of segments that differ in quality.

    Args:
        scores: ``[P]``, ``alpha * sum_t logp``.
        quality: ``[P]``; equal ones make no pair.
        bias: as in `contrastive_preference`.

    Every pair counts in the average. The release divides by the pairs whose loss is not 0, so that pairs which single
    precision rounds to 0 drop out of it.

    Source: jhejna/cpl research/algs/cpl.py @b333667b, which orders equal ones as they come.
    """
    better = quality[:, None] > quality[None, :]
    losses = softplus(bias * scores[None, :] - scores[:, None])
    return torch.where(better, losses, 0.0).sum() / better.sum().clamp(min=1)


def _pair_loss(chosen: Tensor, rejected: Tensor, kind: PairLoss, beta: float) -> Tensor:
    gap = chosen - rejected
    if kind == "sigmoid":
        return softplus(-beta * gap)
    if kind == "hinge":
        return (1.0 - beta * gap).clamp(min=0.0)
    if kind == "ipo":
        return (gap - 0.5 / beta) ** 2
    return (chosen - 0.5 / beta) ** 2 + (rejected + 0.5 / beta) ** 2
