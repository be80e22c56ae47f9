"""Ranked lists: labels from comparisons, and what the exchange of two answers is worth."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._groups import Groups

LambdaScheme = Literal["dcg", "dcg2"]

_LARGEST = 100.0


def win_shares(wins: FloatArray, groups: Groups, *, own: float | None = None) -> FloatArray:
    """``[N]`` mean probability that a row beats a member of its group.

    Args:
        wins: ``[N, N]`` probability that the row (first axis) beats another; only pairs of a group are read.
        groups: partition by prompt.
        own: what a row scores against itself, which then counts in the mean (LiPO: 0.5); None for the mean over the
            others, 0 for a row without any (DNO).

    Raises:
        BadInput: a probability lies outside [0, 1].
    """
    together = groups.index[:, None] == groups.index[None, :]
    np.fill_diagonal(together, False)
    bad = np.argwhere(together & ((wins < 0) | (wins > 1)))
    if bad.size:
        raise BadInput(f"wins: row {bad[0][0]}, column {bad[0][1]} holds {wins[tuple(bad[0])]}, outside [0, 1]")
    total = np.where(together, wins, 0.0).sum(1)
    sizes = groups.spread(groups.sizes)
    mean: FloatArray = total / np.maximum(sizes - 1, 1) if own is None else (total + own) / sizes
    return mean


def lambda_weights(scores: FloatArray, labels: FloatArray, *, scheme: LambdaScheme = "dcg") -> FloatArray:
    """``[K, K]`` change of DCG when two answers of a list change places; symmetric, 0 on the diagonal.

    ``|2^psi_i - 2^psi_j| * |d(rank_i) - d(rank_j)|`` with ``d(t) = 1 / log2(1 + t)`` for ``dcg``; for ``dcg2`` the
    second factor is ``|d(gap) - d(gap + 1)|``, ``gap`` the distance of the ranks.

    Args:
        scores: ``[K]`` of the present policy; equal ones rank by position.
        labels: ``[K]``, such as win rates.
        scheme: which second factor.

    Raises:
        BadOption: an unknown scheme.
        BadInput: a label beyond 100, of which the gain would swallow all others.

    Source: LiPO (arXiv 2402.01878) eq. 7, with the inverse of D that its text has lost; LambdaLoss (Wang et al. 2018);
    google/rax rax/_src/lambdaweights.py @af92de1f, which multiplies by the length of the list.
    """
    if scheme not in get_args(LambdaScheme):
        raise BadOption(f"scheme: {scheme!r} is not one of {', '.join(get_args(LambdaScheme))}")
    if bool((np.abs(labels) > _LARGEST).any()):
        worst = labels[np.argmax(np.abs(labels))]
        raise BadInput(f"labels: {worst} is too large an exponent of 2; map labels to [0, 1]")
    ranks = np.empty(scores.size)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, scores.size + 1)
    gain = np.exp2(labels)
    if scheme == "dcg":
        discount = 1.0 / np.log2(1.0 + ranks)
        change = np.abs(discount[:, None] - discount[None, :])
    else:
        gap = np.abs(ranks[:, None] - ranks[None, :])
        apart = np.maximum(gap, 1.0)
        change = np.where(gap > 0, np.abs(1.0 / np.log2(1.0 + apart) - 1.0 / np.log2(2.0 + apart)), 0.0)
    result: FloatArray = np.abs(gain[:, None] - gain[None, :]) * change
    return result
