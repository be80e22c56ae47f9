"""Ranked lists: how much the exchange of two answers changes the list's quality."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import InputError, OptionError

LambdaScheme = Literal["dcg", "dcg2"]

_LARGEST = 100.0


def lambda_weights(scores: FloatArray, labels: FloatArray, *, scheme: LambdaScheme = "dcg") -> FloatArray:
    """``[K, K]`` change of DCG when two answers of a list change places; symmetric, 0 on the diagonal.

    ``|2^psi_i - 2^psi_j| * |d(rank_i) - d(rank_j)|`` with ``d(t) = 1 / log2(1 + t)`` for ``dcg``; for ``dcg2`` the
    second factor is ``|d(gap) - d(gap + 1)|``, ``gap`` the distance of the ranks.

    Args:
        scores: ``[K]`` of the present policy; equal ones rank by position.
        labels: ``[K]``, such as win rates.
        scheme: which second factor.

    Raises:
        OptionError: an unknown scheme.
        InputError: a label beyond 100, of which the gain would swallow all others.

    Source: LiPO (arXiv 2402.01878) eq. 7, with the inverse of D that its text has lost; LambdaLoss (Wang et al. 2018);
    google/rax rax/_src/lambdaweights.py @af92de1f, which multiplies by the length of the list.
    """
    if scheme not in get_args(LambdaScheme):
        raise OptionError(f"scheme: {scheme!r} is not one of {', '.join(get_args(LambdaScheme))}")
    if bool((np.abs(labels) > _LARGEST).any()):
        worst = labels[np.argmax(np.abs(labels))]
        raise InputError(f"labels: {worst} is too large an exponent of 2; map labels to [0, 1]")
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


def dcg_discounts(items: int) -> FloatArray:
    """``[I]`` 1 for the first item, ``1 / log2(j + 2)`` for item ``j`` from 0."""
    return np.asarray(1.0 / np.log2(np.arange(items) + 2.0))
