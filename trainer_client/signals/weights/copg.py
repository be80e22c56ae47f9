"""Contrastive Policy Gradient: Aligning LLMs on sequence-level scores in a supervised-friendly fashion (CoPG).

CoPG (arXiv 2406.19185), its k-sample loss as quoted in notes on a report that uses it; beta is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Laws, OptionError, Pair, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.tokens import log_ratios

PAPER = Paper("copg", __doc__, provenance="secondary")


@register(
    "copg",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "logprobs", "ref_logprobs", "lengths|mask"),
    formula="R = r - beta * log(pi / pi_ref); A_i = R_i - mean of the other R; pairs: target (R_i - R_j)",
    laws=Laws(shift=True),
)
def copg(batch: SignalBatch, *, beta: float = 0.1) -> Signal:
    """CoPG: the leave-one-out advantage of the regularised reward, right off-policy too, without importance ratios.

    ``-2 beta`` times it is the gradient of ``sum_{i>j} (R_i - R_j)^2 / (k - 1)`` with respect to the log-probabilities.
    Compute it again at each step: R moves with the policy. Equal rewards still teach while the log-ratios differ. For
    offline data use `copg_pairs`.
    """
    if not beta > 0:
        raise OptionError(f"copg: beta = {beta} must be positive")
    regularised = batch.rewards - beta * log_ratios(batch)
    advantages = group_normalise(regularised, batch.groups, batch.valid, centre="leave_one_out", scale="none")
    return batch.signal(advantages=advantages, rewards=regularised)


@register(
    "copg_pairs",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    source="CoPG (arXiv 2406.19185), as copg",
    formula="loss (log-ratio_i - log-ratio_j - (r_i - r_j) / beta)^2 for every pair",
)
def copg_pairs(batch: SignalBatch, *, beta: float = 0.1) -> Signal:
    """CoPG's targets for offline pairs: ``margin`` is what the difference of the log-ratios is regressed on.

    ``weight`` is ``1 / (k - 1)``. Rows of equal reward belong in the loss as well, with a target of 0: such pairs name
    the earlier row first.
    """
    if not beta > 0:
        raise OptionError(f"copg_pairs: beta = {beta} must be positive")
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    pairs = []
    for members in (rows[part].tolist() for part in groups.members()):
        for place, first in enumerate(members):
            for second in members[place + 1 :]:
                gap = float(batch.rewards[first] - batch.rewards[second])
                high, low = (first, second) if gap >= 0 else (second, first)
                pairs.append(Pair(high, low, margin=abs(gap) / beta, weight=1.0 / (len(members) - 1)))
    return batch.signal(pairs=pairs)
