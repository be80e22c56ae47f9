"""TempSamp-R1: Effective Temporal Sampling with Reinforcement Fine-Tuning for Video LLMs.

TempSamp-R1 (arXiv 2509.18056); ZhangZikun6666/TempSamp-R1 scripts/timelens @55a92280 (by others).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
    within_unit,
)
from trainer_client.signals.parts.asymmetric import asymmetric_shaping

PAPER = Paper("tempsamp-r1", __doc__, provenance="secondary")


@register(
    "asymmetric_shaping",
    paper=PAPER,
    needs="row",
    inputs=("rewards",),
    formula="r >= t: t + a * ln(r - t + 1); r < t: t - (exp(b*(t-r)) - 1) / (exp(b) - 1)",
    laws=Laws(prepare=within_unit),
    within=(0.0, 1.0),
)
def asymmetric(batch: SignalBatch, *, threshold: float = 0.8, high: float = 0.01, low: float = 1.0) -> Signal:
    """TempSamp-R1's shaping on its own: high rewards are flattened, low ones kept apart; for rewards in [0, 1]."""
    return batch.signal(rewards=asymmetric_shaping(batch.rewards, threshold=threshold, high=high, low=low))


@golden("asymmetric_reward_shaping")
def _(case: Case) -> Any:
    params = case.params
    estimator = method(
        "asymmetric_shaping", threshold=params["tau"], high=params["alpha_high"], low=params["alpha_low"]
    )
    return np.asarray(estimator(SignalBatch([case.inputs["reward"]])).rewards)[0]
