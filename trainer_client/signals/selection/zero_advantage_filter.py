"""Groups without advantages are dropped, unless no group has any.

HiLL, Andree-9/HiLL verl/trainer/ppo/hill_ray_trainer.py @195d94eb.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise


@register(
    "zero_advantage_filter",
    paper="hill",
    needs="batch",
    inputs=("rewards", "groups", "lengths|mask"),
    provenance="code",
    formula="drop a group with sum |A| * tokens <= 1e-6; keep all if all would go",
)
def zero_advantage_filter(batch: SignalBatch, *, tolerance: float = 1e-6, eps: float = 1e-6) -> Signal:
    """Groups without advantages are dropped, unless no group has any."""
    relative = group_normalise(batch.rewards, batch.groups, batch.valid, eps=eps, singleton="raw")
    strength = batch.groups.sum(np.abs(relative) * batch.lengths)
    alive = strength > tolerance
    keep = batch.groups.spread(alive) if bool(alive.any()) else np.ones(batch.rows, np.bool_)
    return batch.signal(keep=keep)
