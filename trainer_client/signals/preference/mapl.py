"""MAPL: Multi-Level Aware Preference Learning.

MAPL (arXiv 2505.12845), intra-instruction loss as quoted in a review.
"""

from __future__ import annotations

from trainer_client.signals.authoring import BoolArray, Groups, Pair, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.pairs import valid_members

PAPER = Paper("mapl", __doc__, provenance="secondary")


@register(
    "mapl",
    paper=PAPER,
    needs="group",
    inputs=("components", "groups"),
    optional=("components_valid",),
    formula="pairs of instructions for one answer: all constraints met over some missed",
)
def mapl(batch: SignalBatch) -> Signal:
    """MAPL: which of several instructions an answer follows, told by checkers.

    Rows are instructions with the same answer (``groups``). ``components`` is above 0 where the answer meets a
    constraint; ``components_valid`` says which of them a row's instruction names, all of them without it. In a pair
    both rows have that answer: train with `losses.bradley_terry` on its scores under both; `losses.crossed_preference`
    is the part across answers.
    """
    pairs = constraint_pairs(batch["components"] > 0, batch.components_given, batch.groups, batch.valid)
    return batch.signal(pairs=pairs)


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
