"""Pairs that have to differ enough, or that a label or a construction tells apart."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Pair

from ._pairs import valid_members


def large_margin_pairs(
    scores: FloatArray,
    sampled: BoolArray,
    defective: BoolArray,
    groups: Groups,
    valid: BoolArray,
    *,
    least: float = 5.0,
    margin: float = 2.0,
    sampled_margin: float = 1.0,
) -> list[Pair]:
    """Every pair of a good answer and one that is clearly worse.

    A positive scores at least ``least``; a negative ``margin`` less, or ``sampled_margin`` when the positive was
    sampled from the policy. A defective answer is never a positive, and a negative to every positive, whatever it
    scores; such a pair's margin is at least 0.

    Source: DNO (arXiv 2404.03715) section 5.1.
    """
    pairs = []
    for members in valid_members(groups, valid):
        score, own, bad = scores[members], sampled[members], defective[members]
        gap = score[:, None] - score[None, :]
        needed = np.where(own, sampled_margin, margin)[:, None]
        better = ((score >= least) & ~bad)[:, None] & (bad[None, :] | (gap >= needed))
        for i, j in np.argwhere(better).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=max(float(gap[i, j]), 0.0)))
    return pairs


def labelled_pairs(preferred: BoolArray, groups: Groups, valid: BoolArray) -> tuple[IntArray, IntArray]:
    """``[P]`` chosen and ``[P]`` rejected rows: each preferred row of a group with each of the others.

    A row that is not valid takes part in no pair, so that the partner of a missing row stands alone.
    """
    pairs = [
        (chosen, rejected)
        for members in valid_members(groups, valid)
        for chosen in members[preferred[members]].tolist()
        for rejected in members[~preferred[members]].tolist()
    ]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


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


def constraint_pairs(met: BoolArray, named: BoolArray, groups: Groups, valid: BoolArray) -> list[Pair]:
    """Pairs of instructions for one answer: one that it fulfils over one of which it misses something.

    The margin is the number of constraints missed. An instruction without constraints takes no part.

    Args:
        met: ``[N, K]`` whether the answer meets a constraint.
        named: ``[N, K]`` whether a row's instruction asks for it.
        groups: rows with the same answer.
        valid: ``[N]`` rows that take part.

    Source: MAPL (arXiv 2505.12845), the intra-instruction part.
    """
    missed = (named & ~met).sum(1)
    asks = named.any(1)
    pairs = []
    for members in valid_members(groups, valid & asks):
        whole, short = members[missed[members] == 0], members[missed[members] > 0]
        pairs += [Pair(int(a), int(b), margin=float(missed[b])) for a in whole.tolist() for b in short.tolist()]
    return pairs
