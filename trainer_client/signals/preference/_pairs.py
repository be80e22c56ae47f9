"""Pairs of rows of the same prompt, the better first."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Pair


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
    part, rows = groups.take(valid), np.flatnonzero(valid)
    for start, size in zip(part.starts.tolist(), part.sizes.tolist(), strict=True):
        members = rows[part.order[start : start + size]]
        gap = rewards[members][:, None] - rewards[members][None, :]
        for i, j in np.argwhere(gap > max(min_margin, 0.0)).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=float(gap[i, j])))
    return pairs


def version_pairs(
    versions: IntArray, dimensions: Groups, groups: Groups, valid: BoolArray, *, base: int = 0
) -> list[Pair]:
    """Pairs of versions of one text that differ in quality, within a dimension; the base belongs to all dimensions.

    Args:
        versions: ``[N]`` quality by construction; the higher, the better.
        dimensions: in what respect a version was changed.
        groups: versions of the same text.
        valid: ``[N]`` rows that take part.
        base: quality of the text itself.
    """
    pairs = []
    part, rows = groups.take(valid), np.flatnonzero(valid)
    for start, size in zip(part.starts.tolist(), part.sizes.tolist(), strict=True):
        members = rows[part.order[start : start + size]]
        quality, respect = versions[members], dimensions.index[members]
        shared = (respect[:, None] == respect[None, :]) | (quality == base)[:, None] | (quality == base)[None, :]
        gap = quality[:, None] - quality[None, :]
        for i, j in np.argwhere(shared & (gap > 0)).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=float(gap[i, j])))
    return pairs
