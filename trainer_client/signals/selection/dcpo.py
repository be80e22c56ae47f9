"""DCPO: the good and short answers of a group against its bad and long ones.

ChatShopBuddy (DCPO), abstract and a note (8 of 16 rows kept); the rule within a group is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    IntArray,
    Laws,
    OptionError,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise


@register(
    "dcpo",
    paper="hrm-dcpo",
    needs="group",
    inputs=("rewards", "groups", "lengths|mask"),
    provenance="abstract",
    formula="keep ceil(m/2) best, short first, and floor(m/2) worst, long first, m = G/2; GRPO on the kept rows",
    laws=Laws(permutation=False),
)
def dcpo(batch: SignalBatch, *, share: float = 0.5, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """DCPO: the good and short answers of a group against its bad and long ones.

    In a group of equal rewards the shortest and the longest stay, with advantage 0. ``lengths`` may be those of the
    reasoning alone.
    """
    valid, groups = batch.taken()
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = contrastive_subset(batch.rewards[valid], batch.lengths[valid], groups, share)
    advantages = group_normalise(batch.rewards, batch.groups, keep & batch.valid, ddof=ddof, eps=eps)
    return batch.signal(advantages=advantages, keep=keep)


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
        OptionError: ``share`` is outside (0, 1].

    Source: DCPO (ChatShopBuddy), reconstructed from the abstract and a note: 8 of 16 rows are kept.
    """
    if not 0.0 < share <= 1.0:
        raise OptionError(f"share: {share} of a group; choose more than 0 and at most 1")
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
