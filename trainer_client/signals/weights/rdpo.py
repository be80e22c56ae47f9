"""Provably Robust DPO: Aligning Language Models with Noisy Feedback (rDPO).

rDPO (arXiv 2403.00409); huggingface/trl trl/trainer/dpo_trainer.py (robust) @f2cd5771.
"""

from __future__ import annotations

from typing import Literal

from trainer_client.signals.authoring import OptionError, Pair, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.pairs import best_worst_pairs, ranked_pairs

PAPER = Paper("rdpo", __doc__, provenance="code")


@register(
    "rdpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="pair: weight (1 - e) / (1 - 2e); the same pair turned round: -e / (1 - 2e)",
)
def rdpo(batch: SignalBatch, *, flip_rate: float = 0.1, which: Literal["best_worst", "all"] = "best_worst") -> Signal:
    """rDPO: each pair, and against it the same pair turned round, so that wrong labels cancel on average.

    ``flip_rate`` is the share of labels that are wrong (`secrets_ii` estimates it); 0 gives plain pairs. The weights
    correct the loss of a reward model in the same way.
    """
    if not 0.0 <= flip_rate < 0.5:
        raise OptionError(f"rdpo: flip_rate = {flip_rate} must lie in [0, 0.5); from there on labels say nothing")
    make = best_worst_pairs if which == "best_worst" else ranked_pairs
    scale = 1.0 - 2.0 * flip_rate
    pairs = []
    for pair in make(batch.rewards, batch.groups, batch.valid):
        pairs.append(Pair(pair.chosen, pair.rejected, pair.margin, (1.0 - flip_rate) / scale))
        if flip_rate:
            pairs.append(Pair(pair.rejected, pair.chosen, -pair.margin, -flip_rate / scale))
    return batch.signal(pairs=pairs)
