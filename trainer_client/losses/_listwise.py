"""Losses of ranked lists of answers."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trainer_client.signals.parts import LambdaScheme, lambda_weights

ListLoss = Literal["logistic", "hinge", "list-mle", "softmax", "mse", "sigmoid"]


def lambda_loss(scores: Tensor, labels: Tensor, *, scheme: LambdaScheme = "dcg") -> Tensor:
    """``[K, K]`` loss of each ordered pair of a list, 0 where the labels do not put the first above the second.

    ``W_ij * log(1 + exp(-(s_i - s_j)))``; sum it, or average it over the pairs.

    Args:
        scores: ``[K]``, ``beta * (logp - ref_logp)`` of each answer.
        labels: ``[K]`` such as win rates.
        scheme: how the exchange of two answers is valued; see `trainer_client.signals.parts.lambda_weights`.

    Source: LiPO (arXiv 2402.01878) section 3.3.
    """
    weights = lambda_weights(scores.detach().double().cpu().numpy(), labels.double().cpu().numpy(), scheme=scheme)
    above = labels[:, None] > labels[None, :]
    gap = scores[:, None] - scores[None, :]
    return torch.where(above, torch.from_numpy(weights).to(scores) * softplus(-gap), 0.0)


def list_loss(scores: Tensor, labels: Tensor, *, kind: ListLoss = "logistic") -> Tensor:
    """Scalar loss of a list, summed.

    ``logistic`` and ``hinge`` are over pairs, ``list-mle`` is the likelihood of the labelled order under
    Plackett-Luce (equal labels in their order), ``softmax`` a cross-entropy with the labels as they are, ``mse`` and
    ``sigmoid`` are over single answers.

    Args:
        scores: ``[K]``.
        labels: ``[K]``; in [0, 1] for ``sigmoid``.
        kind: which loss.

    Raises:
        ValueError: the kind is unknown.

    Source: LiPO (arXiv 2402.01878) sections 3.2, 3.3; google/rax rax/_src/losses.py @af92de1f.
    """
    above = labels[:, None] > labels[None, :]
    gap = scores[:, None] - scores[None, :]
    if kind == "logistic":
        return torch.where(above, softplus(-gap), 0.0).sum()
    if kind == "hinge":
        return torch.where(above, (1.0 - gap).clamp(min=0.0), 0.0).sum()
    if kind == "list-mle":
        ordered = scores[torch.argsort(labels, descending=True, stable=True)]
        return (torch.logcumsumexp(ordered.flip(0), 0).flip(0) - ordered).sum()
    if kind == "softmax":
        return -(labels * torch.log_softmax(scores, 0)).sum()
    if kind == "mse":
        return ((scores - labels) ** 2).sum()
    if kind == "sigmoid":
        return (softplus(scores) - labels * scores).sum()
    raise ValueError(f"kind: {kind!r} is not one of {', '.join(get_args(ListLoss))}")


def plackett_luce(scores: Tensor, ranking: Tensor, *, top: int | None = None) -> Tensor:
    """``[...]`` log-probability of rankings under Plackett-Luce.

    Args:
        scores: ``[..., K]`` of the items.
        ranking: ``[..., K]`` items, best first.
        top: count the first factors only; None for all.

    Source: Neural PG-RANK (arXiv 2310.04407).
    """
    ordered = torch.gather(scores, -1, ranking)
    factors = ordered - torch.logcumsumexp(ordered.flip(-1), -1).flip(-1)
    return factors[..., :top].sum(-1)
