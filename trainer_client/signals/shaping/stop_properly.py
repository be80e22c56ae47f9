"""ProRL: Prolonged Reinforcement Learning Expands Reasoning Boundaries in Large Language Models.

ProRL (arXiv 2505.24864); OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/length_penalty.py @3c3be623.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Paper,
    Signal,
    SignalBatch,
    as_bools,
    as_floats,
    golden,
    register,
)

PAPER = Paper("prorl", __doc__, provenance="code")


@register(
    "stop_properly",
    paper=PAPER,
    needs="row",
    inputs=("rewards", "truncated"),
    formula="truncated: r * c for c >= 0, c for c < 0",
)
def stop_properly_penalty(batch: SignalBatch, *, coefficient: float = 0.0) -> Signal:
    """ProRL's penalty for answers that were cut off: their reward is scaled or replaced."""
    return batch.signal(rewards=stop_properly(batch.rewards, batch["truncated"], coefficient=coefficient))


def stop_properly(rewards: ArrayLike, truncated: ArrayLike, *, coefficient: float) -> FloatArray:
    """Rewards where truncated rows are scaled (``coefficient >= 0``) or replaced (``coefficient < 0``).

    Source: ProRL's penalty in OpenRLHF openrlhf/trainer/ppo_utils/length_penalty.py @3c3be623.
    """
    reward = as_floats("rewards", rewards)
    cut = as_bools("truncated", truncated)
    return np.where(cut, reward * coefficient if coefficient >= 0 else coefficient, reward)


@golden("stop_properly_penalty")
def _(case: Case) -> Any:
    return stop_properly([case.inputs["reward"]], [case.inputs["truncated"]], coefficient=case.params["coef"])[0]
