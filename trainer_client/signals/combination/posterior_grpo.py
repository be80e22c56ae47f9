"""Posterior-GRPO: Rewarding Reasoning Processes in Code Generation.

Posterior-GRPO (arXiv 2508.05170), as restated in Wodlfvllf/grpo-composer (by others).
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
    one_group,
    register,
    third_column,
)
from trainer_client.signals.parts.columns import combined_columns, exactly
from trainer_client.signals.parts.terms import Term

PAPER = Paper("posterior-grpo", __doc__, provenance="secondary")


@register(
    "posterior_grpo",
    paper=PAPER,
    needs="group",
    inputs=("components", "groups"),
    formula="R = R_f + R_o + R_o * R_t; then GRPO",
    columns=exactly("format", "outcome", "reasoning"),
    laws=Laws(prepare=third_column),
)
def posterior_grpo(batch: SignalBatch, *, eps: float = 1e-6) -> Signal:
    """Posterior-GRPO: the reasoning is rewarded only where the outcome is right.

    Components in order: format, outcome, reasoning. The reasoning's reward is not needed where the outcome is 0, so
    that its model need not be asked; missing where it is needed, it takes the row out.
    """
    components = batch["components"]
    present = batch.components_given
    table = components.copy()
    table[:, 2] *= components[:, 1]
    is_asked = np.ones(table.shape, np.bool_)
    is_asked[:, 2] = ~present[:, 1] | (components[:, 1] > 0)
    return combined_columns(batch, table, [Term("format"), Term("outcome"), Term("reasoning")], eps, is_asked)


@golden("posterior_gated_reward")
def _(case: Case) -> Any:
    table = np.stack([case.array(name) for name in ("format", "outcome", "thinking")], axis=1)
    return method("posterior_grpo")(SignalBatch(None, one_group(len(table)), components=table)).rewards
