"""Contrastive Preference Learning: Learning from Human Feedback without RL (CPL).

CPL (arXiv 2310.13639); jhejna/cpl research/algs/cpl.py @b333667b.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import OptionError, Pair, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.pairs import ranked_pairs

PAPER = Paper("cpl", __doc__, provenance="code")


@register(
    "cpl",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="loss = y * log(1 + exp(bias * S2 - S1)) + (1 - y) * log(1 + exp(bias * S1 - S2)), S = alpha * sum logp",
)
def cpl(batch: SignalBatch, *, tie_width: float = 0.0, ties: bool = True) -> Signal:
    """CPL: every pair of a group's segments, without a reference policy; those that score alike count half each way.

    ``label`` is 1, or 0.5 where rewards differ by ``tie_width`` or less; ``ties=False`` leaves these out.
    `trainer_client.losses.contrastive_preference` is the loss.
    """
    if tie_width < 0:
        raise OptionError(f"cpl: tie_width = {tie_width} is negative")
    clear = ranked_pairs(batch.rewards, batch.groups, batch.valid, min_margin=tie_width)
    if not ties:
        return batch.signal(pairs=clear)
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    even = []
    for members in (rows[part] for part in groups.members()):
        gap = np.abs(batch.rewards[members][:, None] - batch.rewards[members][None, :])
        near = np.triu(gap <= tie_width, 1)
        even += [Pair(int(members[i]), int(members[j]), label=0.5) for i, j in np.argwhere(near).tolist()]
    return batch.signal(pairs=[*clear, *even])
