"""On-Policy RL with Optimal Reward Baseline (OPO).

OPO (arXiv 2505.23585); volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise

PAPER = Paper("opo", __doc__, provenance="code")


@register(
    "opo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "lengths|mask"),
    formula="A_i = r_i - sum(len * r) / sum(len)",
    laws=Laws(shift=True, scale="equivariant", constant=True),
)
def opo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """OPO: rewards relative to the length-weighted mean of the group."""
    valid, groups = batch.taken()
    rewards, lengths = batch.rewards[valid], batch.lengths[valid].astype(np.float64)
    # Relative to the plain mean first: a constant group is then exactly 0, and large rewards lose no digits.
    centred = group_normalise(rewards, groups, scale="none", singleton=singleton)
    shifted = centred - length_weighted_baseline(centred, lengths, groups)
    single = groups.spread(groups.sizes) == 1
    return batch.signal(advantages=batch.scatter(np.where(single, centred, shifted)))


def length_weighted_baseline(rewards: FloatArray, lengths: FloatArray, groups: Groups) -> FloatArray:
    """``[N]`` baseline ``sum(len * r) / sum(len)`` of each row's group; its mean where no row has a token.

    Source: OPO (arXiv 2505.23585), the optimal baseline when gradient norms grow with length.
    """
    total = groups.sum(lengths)
    weighted = groups.sum(lengths * rewards)
    baseline = np.where(total > 0, weighted / np.where(total > 0, total, 1.0), groups.mean(rewards))
    result: FloatArray = groups.spread(baseline)
    return result


@golden("opo")
def _(case: Case) -> Any:
    return method("opo", singleton="raw")(case.batch()).advantages
