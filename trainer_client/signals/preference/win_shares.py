"""Win rates within the group as rewards: DNO's over the others, LiPO's labels with a half for oneself.

DNO (arXiv 2404.03715) section 4; LiPO (arXiv 2402.01878) section 2.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import FloatArray, Groups, Input, InputError, Signal, SignalBatch, register

_WINS = Input(
    "wins",
    "NN",
    "float",
    "probability that a row is judged better than another of its group, 0 to 1",
    within=(0.0, 1.0),
)


@register(
    "win_shares",
    paper=("dno", "lipo"),
    needs="group",
    inputs=(_WINS, "groups"),
    provenance="paper",
    formula="r_i = mean over the others of P(i beats j), or (sum + 1/2) / K",
)
def win_share_rewards(batch: SignalBatch, *, include_self: bool = False) -> Signal:
    """Win rates within the group as rewards: DNO's over the others, LiPO's labels with a half for oneself."""
    valid, groups = batch.taken()
    shares = win_shares(batch["wins"][np.ix_(valid, valid)], groups, own=0.5 if include_self else None)
    return batch.signal(rewards=batch.scatter(shares))


def win_shares(wins: FloatArray, groups: Groups, *, own: float | None = None) -> FloatArray:
    """``[N]`` mean probability that a row beats a member of its group.

    Args:
        wins: ``[N, N]`` probability that the row (first axis) beats another; only pairs of a group are read.
        groups: partition by prompt.
        own: what a row scores against itself, which then counts in the mean (LiPO: 0.5); None for the mean over the
            others, 0 for a row without any (DNO).

    Raises:
        InputError: a probability lies outside [0, 1].
    """
    together = groups.index[:, None] == groups.index[None, :]
    np.fill_diagonal(together, False)
    bad = np.argwhere(together & ((wins < 0) | (wins > 1)))
    if bad.size:
        raise InputError(f"wins: row {bad[0][0]}, column {bad[0][1]} holds {wins[tuple(bad[0])]}, outside [0, 1]")
    total = np.where(together, wins, 0.0).sum(1)
    sizes = groups.spread(groups.sizes)
    mean: FloatArray = total / np.maximum(sizes - 1, 1) if own is None else (total + own) / sizes
    return mean
