"""Rollouts that run in circles, and groups that say the same."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def tail_repeats(token_ids: IntArray, ends: IntArray, width: int = 128) -> BoolArray:
    """``[N]`` rows whose last ``width`` tokens equal the ``width`` before them; shorter rows do not repeat.

    Args:
        token_ids: ``[N, T]``.
        ends: ``[N]`` tokens of each row; what lies beyond is padding.
        width: tokens compared.

    Raises:
        BadOption: ``width`` is below 1.
    """
    if width < 1:
        raise BadOption(f"width: {width} must be at least 1")
    repeats = np.zeros(len(token_ids), np.bool_)
    long = np.flatnonzero(ends >= 2 * width)
    if long.size:
        at = ends[long, None] - width + np.arange(width)
        tokens = token_ids[long]
        same = np.take_along_axis(tokens, at, 1) == np.take_along_axis(tokens, at - width, 1)
        repeats[long] = same.all(axis=1)
    return repeats


def distinct_ngrams(token_ids: IntArray, ends: IntArray, groups: Groups, n: int = 4) -> FloatArray:
    """``[Q]`` distinct n-grams of a group over all of them: 1 where nothing is said twice; 0 without any n-gram.

    Raises:
        BadOption: ``n`` is below 1.
    """
    if n < 1:
        raise BadOption(f"n: {n} must be at least 1")
    if token_ids.shape[1] < n or not len(groups):
        return np.zeros(len(groups))
    grams = np.lib.stride_tricks.sliding_window_view(token_ids, n, axis=1)
    inside = np.arange(grams.shape[1]) <= (ends - n)[:, None]
    owner = np.broadcast_to(groups.index[:, None], inside.shape)[inside]
    distinct = np.unique(np.column_stack((owner, grams[inside])), axis=0)[:, 0]
    total, found = (np.bincount(index, minlength=len(groups)) for index in (owner, distinct))
    return found / np.maximum(total, 1)
