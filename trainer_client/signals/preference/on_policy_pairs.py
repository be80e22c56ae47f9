"""Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data.

Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data (arXiv 2404.14367).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    OptionError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.pairs import best_worst_pairs, valid_members

PAPER = Paper("on-policy-pairs", __doc__, provenance="abstract")

_SAMPLED_AT = Input("sampled_at", "N", "int", "step of the policy that wrote a row")


@register(
    "on_policy_pairs",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=(_SAMPLED_AT,),
    formula="best > worst, or best > each worse row with weight 1 / (number of these)",
    laws=Laws(options={"max_age": 3}),
)
def on_policy_pairs(
    batch: SignalBatch, *, against: Literal["worst", "worse"] = "worst", max_age: int | None = None
) -> Signal:
    """Pairs of fresh samples with a negative in each, however poor; nothing is filtered by its reward.

    ``max_age`` leaves out rows that ``sampled_at`` says are older, in steps of the policy (of ``batch.step``). The
    report holds the share of rows that are fresh (age 0) and their mean age.
    """
    usable = batch.valid
    report: dict[str, object] = {}
    if "sampled_at" in batch:
        age = (batch.step or 0) - batch["sampled_at"]
        if max_age is not None:
            usable = usable & (age <= max_age)
        seen = age[batch.valid]
        report["on_policy_pairs/fresh"] = float((seen <= 0).mean()) if seen.size else None
        report["on_policy_pairs/age"] = float(seen.mean()) if seen.size else None
    make = best_worst_pairs if against == "worst" else contrast_pairs
    return batch.signal(pairs=make(batch.rewards, batch.groups, usable), report=report)


def contrast_pairs(rewards: FloatArray, groups: Groups, valid: BoolArray) -> list[Pair]:
    """The best row of each group against every worse one, ``1 / (number of worse ones)`` each.

    Source: Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data (arXiv 2404.14367).
    """
    pairs = []
    for members in valid_members(groups, valid):
        best = members[int(np.argmax(rewards[members]))]
        worse = members[rewards[members] < rewards[best]]
        pairs += [
            Pair(int(best), int(row), margin=float(rewards[best] - rewards[row]), weight=1.0 / worse.size)
            for row in worse.tolist()
        ]
    return pairs


def replay_quotas(pairs: Sequence[int], *, share: float = 0.3, decay: float = 0.5) -> list[int]:
    """How many pairs of each earlier iteration to mix in: at most ``share`` of the last one's, and half as many before.

    Args:
        pairs: number of pairs that each earlier iteration made, the last one first.
        share: of the last iteration's pairs.
        decay: from one iteration to the one before it.

    Raises:
        OptionError: ``share`` or ``decay`` is outside [0, 1].

    Source: DNO (arXiv 2404.03715) section 5.1.
    """
    if not (0.0 <= share <= 1.0 and 0.0 <= decay <= 1.0):
        raise OptionError(f"share: {share} and decay: {decay} must lie in [0, 1]")
    return [int(number * share * decay**age + 1e-9) for age, number in enumerate(pairs)]
