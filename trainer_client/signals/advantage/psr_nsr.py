"""The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning (PSR, NSR).

PSR, NSR and W-REINFORCE (arXiv 2506.01347); nangongrui-ngr/NGRPO verl/trainer/ppo/core_algos.py @e7a38041.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import Case, Laws, Paper, Signal, SignalBatch, golden, method, register

PAPER = Paper("psr-nsr", __doc__, provenance="code", names=("W-REINFORCE",))


@register(
    "psr_nsr",
    paper=PAPER,
    needs="row",
    inputs=("rewards",),
    formula="positive: r; negative: r - 1; weighted: weight * r for r = 1, -1 for r = 0, else r",
    laws=Laws(rewards="binary"),
)
def psr_nsr(
    batch: SignalBatch, *, mode: Literal["positive", "negative", "weighted"] = "weighted", weight: float = 0.1
) -> Signal:
    """Reinforcement of right answers only (PSR), of wrong ones only (NSR), or of both unevenly (W-REINFORCE).

    A wrong answer counts -1 in ``weighted``, whether its reward is 0 or -1.
    """
    rewards = batch.rewards
    if mode == "weighted":
        advantages = np.where(rewards == 1.0, weight, np.where(rewards == 0.0, -1.0, rewards))
    else:
        advantages = rewards.copy() if mode == "positive" else rewards - 1.0
    return batch.signal(advantages=advantages)


@golden("psr_nsr")
def _(case: Case) -> Any:
    options = {"mode": case.params["advantage"], "weight": case.params["positive_advantage_weight"]}
    return method("psr_nsr", **options)(case.batch()).advantages
