"""GPG: A Simple and Strong Reinforcement Learning Baseline for Model Reasoning.

GPG (arXiv 2504.02546), AMAP-ML/GPG @e096da8c (informative_groups); volcengine/verl verl/trainer/ppo/core_algos.py
@b178a3cd (nonzero_scores).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import Case, Laws, Paper, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise
from trainer_client.signals.parts.standardise import batch_sum

PAPER = Paper("gpg", __doc__, provenance="code")


@register(
    "gpg",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups"),
    formula="A_i = alpha * (r_i - mean) / f_norm",
    reducible=True,
    laws=Laws(shift=True, scale="equivariant", constant=True, zero_sum=True),
)
def gpg(
    batch: SignalBatch,
    *,
    alpha_mode: Literal["informative_groups", "nonzero_scores"] = "informative_groups",
    f_norm: float = 1.0,
    singleton: Singleton = "zero",
) -> Signal:
    """GPG: mean-centred rewards, scaled up by how few of the batch's groups carry a signal.

    ``informative_groups``: alpha is the number of groups over that of groups whose rewards differ (the authors'
    rule). ``nonzero_scores``: rollouts over rollouts with a nonzero reward (verl's).
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    if alpha_mode == "informative_groups":
        counted = np.array([len(groups), float((~groups.constant(rewards)).sum())])
    else:
        counted = np.array([rewards.size, float(np.count_nonzero(rewards))])
    total, useful = batch_sum(counted, batch.reduce)
    centred = group_normalise(rewards, groups, scale="none", singleton=singleton)
    alpha = float(total / max(useful, 1.0))
    return batch.signal(advantages=batch.scatter(alpha * centred / f_norm), report={"gpg/alpha": alpha})


@golden("gpg")
def _(case: Case) -> Any:
    return method("gpg", alpha_mode="nonzero_scores", f_norm=case.params["f_norm"], singleton="raw")(
        case.batch()
    ).advantages
