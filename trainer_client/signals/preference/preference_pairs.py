"""Pairs from scored rollouts.

DPO (arXiv 2305.18290), pairs from a reward as in its section 4.
"""

from __future__ import annotations

from typing import Literal

from trainer_client.signals.authoring import Laws, Signal, SignalBatch, register
from trainer_client.signals.parts.pairs import best_worst_pairs, ranked_pairs


@register(
    "preference_pairs",
    needs="group",
    inputs=("rewards", "groups"),
    provenance="paper",
    formula="best > worst, or r_i > r_j for all pairs, by more than min_margin",
    laws=Laws(permutation=False, removal=False),
)
def preference_pairs(
    batch: SignalBatch, *, which: Literal["best_worst", "all"] = "best_worst", min_margin: float = 0.0
) -> Signal:
    """Preference pairs of each group; equal rewards make none."""
    make = best_worst_pairs if which == "best_worst" else ranked_pairs
    return batch.signal(pairs=make(batch.rewards, batch.groups, batch.valid, min_margin=min_margin))
