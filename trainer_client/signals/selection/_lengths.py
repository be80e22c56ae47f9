"""Choices that look at the length of answers."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups


def contrastive_subset(rewards: FloatArray, lengths: IntArray, groups: Groups, share: float = 0.5) -> BoolArray:
    """``[N]`` the best of a group, short ones first, and the worst, long ones first: half each of what is kept.

    ``ceil(m / 2)`` of the ``m = floor(share * G)`` rows are best ones, at least one of each kind in a group of two or
    more; ties in batch order.

    Args:
        rewards: ``[N]``.
        lengths: ``[N]`` of the reasoning.
        groups: partition by prompt.
        share: of a group that is kept.

    Raises:
        BadOption: ``share`` is outside (0, 1].

    Source: DCPO (ChatShopBuddy), reconstructed from the abstract and a note: 8 of 16 rows are kept.
    """
    if not 0.0 < share <= 1.0:
        raise BadOption(f"share: {share} of a group; choose more than 0 and at most 1")
    least = np.minimum(groups.sizes, 2)
    kept = np.maximum(np.floor(share * groups.sizes + 1e-9).astype(np.int64), least)
    best = -(-kept // 2)
    order = np.lexsort((lengths, -rewards, groups.index))
    place = np.empty(groups.rows, np.int64)
    place[order] = np.arange(groups.rows) - np.repeat(groups.starts, groups.sizes)
    taken = place < groups.spread(best)
    # The worst are counted among what is left, so that no row is taken for both.
    rank = np.empty(groups.rows, np.int64)
    back = np.lexsort((-lengths, rewards, taken, groups.index))
    rank[back] = np.arange(groups.rows) - np.repeat(groups.starts, groups.sizes)
    result: BoolArray = taken | (rank < groups.spread(kept - best))
    return result


def hardest(difficulty: FloatArray, kinds: Groups, share: float = 0.3) -> BoolArray:
    """``[N]`` the ``share`` of each kind of sample with the largest difficulty, at least one; ties in batch order.

    Raises:
        BadOption: ``share`` is outside (0, 1].

    Source: iTool, zeng-yirong/iTool mcts/utils.py @871eceb4.
    """
    if not 0.0 < share <= 1.0:
        raise BadOption(f"share: {share} of the samples; choose more than 0 and at most 1")
    number = np.maximum(np.floor(share * kinds.sizes + 1e-9).astype(np.int64), 1)
    result: BoolArray = kinds.rank(difficulty, descending=True) < kinds.spread(number)
    return result
