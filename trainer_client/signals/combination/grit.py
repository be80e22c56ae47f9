"""GRIT: Teaching MLLMs to Think with Images.

GRIT, eric-ai-lab/GRIT grpo-gr/rewards.py and GRPO_GRTrainer.py @44699c9b.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer_client.signals.authoring import Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.columns import combined_columns, one_each
from trainer_client.signals.parts.decoupled import resolve_weights
from trainer_client.signals.parts.terms import Term

PAPER = Paper("grit", __doc__, provenance="code")


def _judged(options: Mapping[str, Any], number: int) -> str:
    if not -number <= options["judge"] < number:
        return f"judge = {options['judge']} is none of {number} columns"
    return one_each("weights")(options, number)


@register(
    "grit",
    paper=PAPER,
    needs="group",
    inputs=("components", "groups"),
    formula="R = [judge > 0] + sum of the other rewards; A_i = (R_i - mean) / (std + 1e-4)",
    columns=_judged,
)
def grit(batch: SignalBatch, *, judge: int = 0, weights: tuple[float, ...] | None = None, eps: float = 1e-4) -> Signal:
    """GRIT: a judge's score made binary, plus format, grounding and no-repeat rewards.

    ``judge`` is the column to be made binary. A reward that is missing, a judge's that did not answer included, takes
    the row out.
    """
    components = batch["components"]
    table = components.copy()
    table[:, judge] = components[:, judge] > 0
    factors = resolve_weights(weights, components.shape[1])
    return combined_columns(batch, table, [Term(f"component {k}", float(w)) for k, w in enumerate(factors)], eps)
