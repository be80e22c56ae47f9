"""Advantages whose reference is neither a mean nor a median of the group.

All take rows that take part only, with their `Groups`.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._groups import Groups


def length_weighted_baseline(rewards: FloatArray, lengths: FloatArray, groups: Groups) -> FloatArray:
    """``[N]`` baseline ``sum(len * r) / sum(len)`` of each row's group; its mean where no row has a token.

    Source: OPO (arXiv 2505.23585), the optimal baseline when gradient norms grow with length.
    """
    total = groups.sum(lengths)
    weighted = groups.sum(lengths * rewards)
    baseline = np.where(total > 0, weighted / np.where(total > 0, total, 1.0), groups.mean(rewards))
    result: FloatArray = groups.spread(baseline)
    return result


def best_minus_second(rewards: FloatArray, groups: Groups) -> FloatArray:
    """``[N]``: the best row gets its lead over the second best, all others 0.

    A tie for the best, and a group of one, give 0. Source: arXiv 2503.19595.
    """
    rank = groups.rank(rewards, descending=True)
    second = groups.sum(np.where(rank == 1, rewards, 0.0))
    lead = groups.apply(np.subtract, rewards, second)
    result: FloatArray = np.where((rank == 0) & (groups.spread(groups.sizes) > 1), lead, 0.0)
    return result


def pass_at_k(rewards: FloatArray, groups: Groups, k: int, eps: float = 1e-6) -> FloatArray:
    """``[N]`` advantages that raise the chance of at least one success among ``k`` draws.

    With ``c`` successes among ``n``: ``rho = 1 - C(n-c, k) / C(n, k)``, ``sigma = sqrt(rho * (1 - rho))``; a
    success gets ``(1 - rho) / (sigma + eps)``, a failure
    ``(1 - rho - C(n-c-1, k-1) / C(n-1, k-1)) / (sigma + eps)``. A group with fewer than ``k`` rows gets 0, since
    missing rewards may make a group that small.

    Source: RUCAIBox/Passk_Training code/passk_adv.py @c3ba575e.

    Raises:
        BadInput: a reward is neither 0 nor 1.
        BadOption: ``k`` is below 1.
    """
    if k < 1:
        raise BadOption(f"k: {k} draws are none; choose at least 1")
    odd = np.flatnonzero((rewards != 0) & (rewards != 1))
    if odd.size:
        raise BadInput(
            f"rewards: {rewards[odd[0]]} (the {odd[0]}th valid row) is neither 0 nor 1; pass@k counts successes, "
            "so threshold the rewards first"
        )
    n = groups.sizes.astype(np.float64)
    failures = n - groups.sum(rewards)
    none = _choose_ratio(failures, n, k)
    rho = 1.0 - none
    scale = np.sqrt(rho * none) + eps
    success = none / scale
    failure = (none - _choose_ratio(failures - 1, n - 1, k - 1)) / scale
    enough = (n >= k) & (scale > 0)
    result: FloatArray = np.where(
        rewards == 1, groups.spread(np.where(enough, success, 0.0)), groups.spread(np.where(enough, failure, 0.0))
    )
    return result


def _choose_ratio(a: FloatArray, b: FloatArray, k: int) -> FloatArray:
    """``C(a, k) / C(b, k)`` for ``a <= b``; 0 where ``a < k``."""
    ratio = np.ones_like(b)
    for j in range(k):
        ratio = ratio * np.maximum(a - j, 0.0) / np.maximum(b - j, 1.0)
    return ratio
