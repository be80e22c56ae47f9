"""Rollouts with different numbers of rows brought to the same number."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._groups import Groups


def aligned_counts(trajectories: Groups, target: int, draws: FloatArray | None = None) -> FloatArray:
    """``[N]`` how often each row has to count for every trajectory to have ``target`` rows.

    Args:
        trajectories: partition of the rows by the rollout they belong to.
        target: rows that each rollout is brought to.
        draws: ``[N]`` random numbers in [0, 1): rows are duplicated or dropped at random, those of the smallest
            numbers counting once more. None gives every row ``target / size``, the expectation of that.

    Source: M-GRPO (arXiv 2511.13288) eq. 9 to 11.
    """
    if draws is None:
        even: FloatArray = trajectories.spread(target / np.maximum(trajectories.sizes, 1))
        return even
    whole, left = np.divmod(target, np.maximum(trajectories.sizes, 1))
    more = trajectories.rank(draws) < trajectories.spread(left)
    return trajectories.spread(whole).astype(np.float64) + more
