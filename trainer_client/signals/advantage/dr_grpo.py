"""Understanding R1-Zero-Like Training: A Critical Perspective (Dr. GRPO).

Dr. GRPO (arXiv 2503.20783) section 3.2; volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
"""

from __future__ import annotations

from typing import Any

from trainer_client.signals.authoring import Case, Laws, Paper, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.group_normalise import Singleton
from trainer_client.signals.parts.scaled import scaled

PAPER = Paper("dr-grpo", __doc__, provenance="code", names=("Dr GRPO",))


@register(
    "dr_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="A_i = r_i - mean",
    laws=Laws(shift=True, scale="equivariant", constant=True, zero_sum=True),
)
def dr_grpo(batch: SignalBatch, *, singleton: Singleton = "zero") -> Signal:
    """Dr. GRPO: rewards relative to the group's mean, not divided (its loss divides by a constant length)."""
    return scaled(batch, "none", 1, 0.0, singleton)


@golden("openrlhf_dr_grpo")
def _(case: Case) -> Any:
    return method("dr_grpo")(case.batch()).advantages
