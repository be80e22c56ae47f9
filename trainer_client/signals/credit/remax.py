"""ReMax: A Simple, Effective, and Efficient Reinforcement Learning Method for Aligning Large Language Models.

ReMax (arXiv 2310.10505); volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, Input, Paper, Signal, SignalBatch, golden, method, register

PAPER = Paper("remax", __doc__, provenance="code")

_BASELINES = Input("baselines", "N", "float", "reward of the greedy answer to the same prompt")


@register(
    "remax",
    paper=PAPER,
    needs="row",
    inputs=("rewards|token_rewards", "lengths|mask", _BASELINES),
    formula="A_t = sum_{u >= t} r_u - b, b the reward of the greedy answer to the same prompt",
)
def remax(batch: SignalBatch) -> Signal:
    """ReMax: the return from each token on, against the reward of the greedy answer."""
    mask = batch.mask
    rewards = batch.token_rewards
    returns = rewards[:, ::-1].cumsum(1)[:, ::-1]
    return batch.signal(
        token_advantages=np.where(mask, returns - batch["baselines"][:, None], 0.0),
        returns=np.where(mask, returns, 0.0),
    )


@golden("remax")
def _(case: Case) -> Any:
    return method("remax")(case.batch(baselines=case.array("reward_baselines"))).token_advantages
