"""Values of shared prefixes: what a token changed about the reward to be expected."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._groups import Groups


def prefix_differences(token_ids: IntArray, ends: IntArray, values: FloatArray, groups: Groups) -> FloatArray:
    """``[N, T]`` change ``V(prefix with token t) - V(prefix before it)`` along each row of its group's prefix tree.

    ``V`` of a prefix is the mean value of the group's rows that pass through it. Where all rows of a prefix take the
    same token nothing changes. Summed over a row the changes are its last value less the group's mean; the last value
    is the row's own unless another row is equal or continues it.

    The walk follows only rows that still share their prefix, so that its cost is that of the shared part.

    Args:
        token_ids: ``[N, T]``.
        ends: ``[N]`` tokens of each row; what lies beyond is padding.
        values: ``[N]`` rewards.
        groups: partition of the rows.
    """
    changes = np.zeros(token_ids.shape)
    if not token_ids.size:
        return changes
    tokens = token_ids - token_ids.min()
    kinds = int(tokens.max()) + 1
    if kinds * len(tokens) >= 2**62:
        tokens = np.unique(token_ids, return_inverse=True)[1].reshape(token_ids.shape)
        kinds = int(tokens.max()) + 1
    # Relative to the group's first: the value of equal rewards is then exactly zero, whatever the rounding of means.
    shifted = groups.apply(np.subtract, values, groups.first(values))
    before = groups.spread(groups.mean(shifted)).copy()
    node, sharing = groups.index.copy(), groups.spread(groups.sizes) > 1
    for t in range(token_ids.shape[1]):
        rows = np.flatnonzero(sharing & (ends > t))
        if not rows.size:
            break
        labels, place, often = np.unique(node[rows] * kinds + tokens[rows, t], return_inverse=True, return_counts=True)
        total = np.bincount(place, shifted[rows], labels.size)
        alone = often[place] == 1
        value = np.where(alone, shifted[rows], total[place] / often[place])
        changes[rows, t] = value - before[rows]
        before[rows], node[rows] = value, place
        sharing[rows] = ~alone
        sharing[ends <= t + 1] = False
    return changes
