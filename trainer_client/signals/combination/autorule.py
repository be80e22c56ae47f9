"""AutoRule: Reasoning Chain-of-thought Extracted Rule-based Rewards Improve Preference Learning.

AutoRule (arXiv 2506.15651); the weight and the scale of the sum are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import BoolArray, InputError, Needs, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.moments import RunningMoments

PAPER = Paper("autorule", __doc__, provenance="secondary")


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "state" if options["scale"] == "running" else "group"


@register(
    "autorule",
    paper=PAPER,
    needs=_needs_by_scale,
    inputs=("rewards", "components", "groups"),
    disjoint=True,
    formula="R_i = r_i + weight * share of the rules fulfilled; r_i by its running mean and deviation if asked; GRPO",
)
class RuleRewards(RunningMoments):
    """AutoRule: a preference model's reward plus the share of extracted rules that a judge finds fulfilled.

    ``rewards`` is the model's, ``components`` one column a rule (1 or 0), ``components_valid`` which were judged. The
    share is taken over the rules judged; a row without one is left out.
    """

    kind = "autorule"

    def __init__(self, *, weight: float = 1.0, scale: Literal["none", "running"] = "none", eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.scale, self.eps = weight, scale, eps

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards and advantages of a step."""
        rules = batch["components"]
        if not rules.shape[1]:
            raise InputError("components: no rules; AutoRule needs at least one")
        present = batch.components_given
        judged = present.sum(1)
        live = batch.valid & (judged > 0)
        share = np.where(present, rules, 0.0).sum(1) / np.maximum(judged, 1)
        model = batch.rewards
        if self.scale == "running":
            self.update(model[live])
            spread = self.deviation()
            model = (model - self.mean) / (spread if spread > 0 else 1.0)
        rewards = np.where(live, model + self.weight * share, 0.0)
        return batch.signal(
            keep=live | ~batch.valid,
            rewards=rewards,
            advantages=group_normalise(rewards, batch.groups, live, eps=self.eps),
            report={"autorule/coverage": _share(present, batch.valid)},
        )


def _share(given: BoolArray, valid: BoolArray) -> float:
    return float(given.sum() / max(int(valid.sum()) * given.shape[1], 1))
