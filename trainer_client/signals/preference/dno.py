"""Direct Nash Optimization: Teaching Language Models to Self-Improve with General Preferences (DNO).

DNO (arXiv 2404.03715) algorithm 2 (DNO-Prct), section 5.1.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.pairs import valid_members

PAPER = Paper("dno", __doc__, provenance="paper")

_DEFECTIVE = Input("defective", "N", "bool", "text has a defect that disqualifies it, such as heavy repetition")


@register(
    "dno",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=(_DEFECTIVE, "references"),
    formula="score+ >= 5 and score+ - score- >= 2 (1 where + is a policy sample); all such pairs",
    reaches="min_score",
)
def dno(batch: SignalBatch, *, min_score: float = 5.0, margin: float = 2.0, sampled_margin: float = 1.0) -> Signal:
    """DNO's pairs: good answers against clearly worse ones, by a judge that gives up to six points.

    Candidates of a prompt are samples of the policy and a teacher's answer (``references``). A ``defective`` answer is
    a negative to every positive. Pairs of earlier iterations are replayed in shares of 0.3, 0.15 and so on. The loss is
    DPO's with the present policy as the reference (beta 0.1 or 0.05).
    """
    no_rows = np.zeros(batch.rows, np.bool_)
    sampled = ~batch["references"] if "references" in batch else ~no_rows
    bad = no_rows
    if "defective" in batch:
        bad = batch["defective"]
    pairs = large_margin_pairs(
        batch.rewards,
        sampled,
        bad,
        batch.groups,
        batch.valid,
        min_score=min_score,
        margin=margin,
        sampled_margin=sampled_margin,
    )
    return batch.signal(pairs=pairs, report={"dno/pairs": len(pairs)})


def large_margin_pairs(
    scores: FloatArray,
    sampled: BoolArray,
    defective: BoolArray,
    groups: Groups,
    valid: BoolArray,
    *,
    min_score: float = 5.0,
    margin: float = 2.0,
    sampled_margin: float = 1.0,
) -> list[Pair]:
    """Every pair of a good answer and one that is clearly worse.

    A positive scores at least ``min_score``; a negative ``margin`` less, or ``sampled_margin`` when the positive was
    sampled from the policy. A defective answer is never a positive, and a negative to every positive, whatever it
    scores; such a pair's margin is at least 0.

    Source: DNO (arXiv 2404.03715) section 5.1.
    """
    pairs = []
    for members in valid_members(groups, valid):
        score, own, bad = scores[members], sampled[members], defective[members]
        gap = score[:, None] - score[None, :]
        needed = np.where(own, sampled_margin, margin)[:, None]
        better = ((score >= min_score) & ~bad)[:, None] & (bad[None, :] | (gap >= needed))
        for i, j in np.argwhere(better).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=max(float(gap[i, j]), 0.0)))
    return pairs
