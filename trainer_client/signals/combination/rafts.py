"""Retrieval Augmented Fact Verification by Synthesizing Contrastive Arguments (RAFTS).

RAFTS, abstract; the score and the exchange of the arguments are ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Input, Paper, Signal, SignalBatch, register

PAPER = Paper("rafts", __doc__, provenance="abstract")

_VERDICT_GAPS = Input(
    "verdict_gaps", "NO", "float", "p(supported) - p(refuted) of a claim, for each order of the arguments"
)


@register(
    "rafts",
    paper=PAPER,
    needs="row",
    inputs=(_VERDICT_GAPS,),
    formula="r = mean over both orders of p(supported) - p(refuted)",
)
def rafts(batch: SignalBatch) -> Signal:
    """RAFTS: a claim judged with an argument for and one against it, in both orders.

    The judge and the arguments come from a server. A row without evidence, or with a verdict that cannot be read, is
    not valid. The report holds how far the order matters.
    """
    gaps = batch["verdict_gaps"]
    spread = np.ptp(gaps, axis=1)[batch.valid] if gaps.shape[1] else np.zeros(0)
    bias = float(spread.mean()) if spread.size else 0.0
    return batch.signal(rewards=gaps.sum(1) / max(gaps.shape[1], 1), report={"rafts/order_effect": bias})
