"""Evidence-Driven Retrieval Augmented Response Generation for Online Misinformation (RARG).

RARG (arXiv 2403.14952), abstract; weights, the use of evidence and the gate are ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.columns import exactly
from trainer_client.signals.parts.combine import combine
from trainer_client.signals.parts.terms import Gate, Term

PAPER = Paper("rarg", __doc__, provenance="abstract")


def _four_components(inputs: dict[str, Any]) -> None:
    for name in ("components", "components_valid"):
        inputs[name] = np.concatenate([inputs[name], inputs[name]], axis=1)


@register(
    "rarg",
    paper=PAPER,
    needs="group",
    inputs=("components",),
    optional=("groups",),
    formula="quality < floor: 0; else (w_r * refutes + w_p * polite + w_e * uses evidence) / sum w",
    columns=exactly("quality", "refutation", "politeness", "use of evidence"),
    laws=Laws(prepare=_four_components),
)
def rarg(
    batch: SignalBatch, *, refutation: float = 1.0, politeness: float = 1.0, evidence: float = 1.0, floor: float = 0.5
) -> Signal:
    """RARG: an answer to misinformation is to refute it, politely, by the evidence, in passable language.

    Columns of ``components``: quality, refutation, politeness, use of evidence. A claim without evidence has the last
    one missing, which moves its rows neither up nor down.
    """
    table = batch["components"]
    total = refutation + politeness + evidence
    terms = [
        Term("quality", 0.0, gate=Gate(floor)),
        Term("refutation", refutation / total),
        Term("politeness", politeness / total),
        Term("evidence", evidence / total, required=False),
    ]
    combined = combine(
        table, batch.components_given, terms, groups=batch.groups if "groups" in batch else None, max_missing=1.0
    )
    return batch.signal(rewards=np.nan_to_num(combined.rewards), keep=combined.valid | ~batch.valid)
