"""iGRPO: Self-Feedback-Driven LLM Reasoning.

iGRPO (arXiv 2602.09000) sections 3.2 and 4.1; the rule for ties is ours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals.authoring import Input, Laws, Paper, Request, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.prompts import extreme_row, first_row

PAPER = Paper("igrpo", __doc__, provenance="paper")

_DRAFTS = Input("drafts", "N", "bool", "row is a draft to be refined")


@register(
    "igrpo_drafts",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=("lengths",),
    formula="d* = argmax reward; prompt q' = q followed by d*",
)
def igrpo_drafts(
    batch: SignalBatch, *, ties: Literal["first", "shortest"] = "first", skip_if_all_zero: bool = False
) -> Signal:
    """iGRPO, stage 1: the best draft of each prompt goes into the prompt of the refinements.

    Requests are of kind ``refine``; their row is the draft. Drafts get no gradient. A prompt without a valid draft has
    no request and is generated plainly. ``shortest`` reads the lengths. Drafts and refinements together are as many
    as a GRPO group has rows.
    """
    best = batch.groups.max(np.where(batch.valid, batch.rewards, -np.inf))
    top = batch.valid & (batch.rewards == batch.groups.spread(best))
    rows = first_row(batch.groups, top)
    if ties == "shortest":
        rows = extreme_row(batch.groups, batch.lengths, top, lowest=True)
    is_refined = (rows >= 0) & (~(best == 0) | (not skip_if_all_zero))
    requests = [Request(row, "refine", {"reward": float(batch.rewards[row])}) for row in rows[is_refined].tolist()]
    return batch.signal(keep=~batch.valid, requests=requests)


@register(
    "igrpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _DRAFTS),
    source="iGRPO (arXiv 2602.09000) sections 3.2 and 4.1; ddof, which it does not state, as in GRPO",
    formula="A_i = (r_i - mean) / (std + eps) over the refinements of a prompt",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def igrpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """iGRPO, stage 2: GRPO over the refinements; ratios and KL are taken under the prompt with the draft.

    Drafts may be in the batch; they take no part. Reported is the share of refinements better than the best of them.
    """
    refined = batch.valid & ~batch["drafts"]
    advantages = group_normalise(batch.rewards, batch.groups, refined, ddof=ddof, eps=eps)
    drafted = batch.groups.max(np.where(batch.valid & batch["drafts"], batch.rewards, -np.inf))
    compared = refined & batch.groups.spread(np.isfinite(drafted))
    better = batch.rewards[compared] > batch.groups.spread(drafted)[compared]
    share = float(better.mean()) if better.size else 0.0
    return batch.signal(keep=refined | ~batch.valid, advantages=advantages, report={"igrpo/better_than_draft": share})
