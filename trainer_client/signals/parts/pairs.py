"""Pairs of rows of one group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Pair


def labelled_pairs(preferred: BoolArray, groups: Groups, valid: BoolArray) -> tuple[IntArray, IntArray]:
    """``[P]`` chosen and ``[P]`` rejected rows: each preferred row of a group with each of the others.

    A row that is not valid takes part in no pair, so that the partner of a missing row stands alone.
    """
    pairs = [
        (chosen, rejected)
        for members in valid_members(groups, valid)
        for chosen in members[preferred[members]].tolist()
        for rejected in members[~preferred[members]].tolist()
    ]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def valid_members(groups: Groups, valid: BoolArray) -> Iterator[IntArray]:
    """The valid rows of each group that has any, in batch order."""
    rows = np.flatnonzero(valid)
    return (rows[members] for members in groups.take(valid).members())


def best_worst_pairs(rewards: FloatArray, groups: Groups, valid: BoolArray, *, min_margin: float = 0.0) -> list[Pair]:
    """One pair a group: its best and its worst valid row, if they differ by more than ``min_margin``.

    Equal rewards make no pair. Of tied rows the first in batch order is taken.
    """
    rows = np.flatnonzero(valid)
    if not rows.size:
        return []
    part, reward = groups.take(valid), rewards[rows]
    best = rows[np.flatnonzero(part.rank(reward, descending=True) == 0)]
    worst = rows[np.flatnonzero(part.rank(reward) == 0)]
    best, worst = (side[np.argsort(groups.index[side], kind="stable")] for side in (best, worst))
    margins = rewards[best] - rewards[worst]
    chosen = margins > max(min_margin, 0.0)
    return [
        Pair(int(b), int(w), margin=float(m))
        for b, w, m in zip(best[chosen], worst[chosen], margins[chosen], strict=True)
    ]


def ranked_pairs(rewards: FloatArray, groups: Groups, valid: BoolArray, *, min_margin: float = 0.0) -> list[Pair]:
    """Every pair of valid rows of a group that differ by more than ``min_margin``, in batch order."""
    pairs = []
    for members in valid_members(groups, valid):
        gap = rewards[members][:, None] - rewards[members][None, :]
        for i, j in np.argwhere(gap > max(min_margin, 0.0)).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=float(gap[i, j])))
    return pairs
