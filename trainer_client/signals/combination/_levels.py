"""Rewards in which some scores decide what others are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadInput, BadOption


def levelled_reward(
    scores: FloatArray, thresholds: Sequence[float], weights: Sequence[float]
) -> tuple[FloatArray, IntArray]:
    """``[N]`` weighted sum of the levels up to and with the first that fails, and which that is (``L`` for none).

    ``R = sum_l w_l * s_l * prod_{m<l} [s_m >= theta_m]``.

    Args:
        scores: ``[N, L]``, the basic level first.
        thresholds: of each level.
        weights: of each level.

    Raises:
        BadOption: not one threshold and weight a level.

    Source: HRM (ChatShopBuddy), reconstructed from the abstract.
    """
    levels = scores.shape[1]
    if len(thresholds) != levels or len(weights) != levels:
        raise BadOption(f"levels: {levels} scores, {len(thresholds)} thresholds, {len(weights)} weights; give one each")
    passed = scores >= np.asarray(thresholds, dtype=np.float64)
    open_before = np.cumprod(np.concatenate((np.ones((len(scores), 1)), passed[:, :-1]), axis=1), axis=1)
    failed = np.where(passed.all(1), levels, np.argmin(passed, axis=1))
    return (scores * np.asarray(weights, dtype=np.float64) * open_before).sum(1), failed


def softly_gated(
    bottom: FloatArray,
    others: FloatArray,
    weights: Sequence[float] | None = None,
    given: BoolArray | None = None,
    *,
    floor: float = 0.01,
) -> FloatArray:
    """``[N]`` ``exp(mean log((s + floor) / (1 + floor)))`` of the bottom line times the weighted mean of the others.

    One bottom-line score of 0 among three leaves 0.21 of the reward: the gate is soft.

    Args:
        bottom: ``[N, B]`` in [0, 1]; without any the gate is open.
        others: ``[N, K]`` in [0, 1].
        weights: of the others; 1 each when None.
        given: ``[N, K]`` others that count; a row without any gets 0. None for all.
        floor: the delta of the paper.

    Raises:
        BadInput: a score that counts is outside [0, 1], or the weights do not fit, are negative or sum to 0.

    Source: SearchLLM section 3.3, eq. 1 to 3.
    """
    counted = np.ones(others.shape, np.bool_) if given is None else given
    for name, table, live in (("bottom line", bottom, None), ("others", others, counted)):
        bad = np.argwhere(((table < 0) | (table > 1)) & (True if live is None else live))
        if bad.size:
            raise BadInput(f"{name}: row {bad[0][0]}, column {bad[0][1]} holds {table[tuple(bad[0])]}, outside [0, 1]")
    factors = np.ones(others.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.size != others.shape[1] or bool((factors < 0).any()) or not factors.sum() > 0:
        raise BadInput(f"weights: {factors.tolist()} for {others.shape[1]} scores must fit and sum to more than 0")
    gate = np.exp(np.log((bottom + floor) / (1.0 + floor)).sum(1) / max(bottom.shape[1], 1))
    total = (counted * factors).sum(1)
    useful: FloatArray = gate * (np.where(counted, others, 0.0) @ factors) / np.where(total > 0, total, 1.0)
    return useful
