"""Evaluating the Search Agent in a Parallel World (Mind-ParaWorld).

Mind-ParaWorld, abstract and data card; its use as a reward is ours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from trainer_client.signals.authoring import Input, InputError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.report import mean_or_none

PAPER = Paper("mind-paraworld", __doc__, provenance="secondary")

_HITS = Input(
    "hits",
    "N",
    "rows",
    "facts that each of a row's calls returned: a list of ids a call",
    examples=([[1], [2, 3], []], [[1]], []),
)
_FACTS = Input(
    "facts", "N", "rows", "ids of the facts that the answer to a row's prompt rests on", examples=([1, 2], [0, 3])
)


@register(
    "mind_paraworld",
    paper=PAPER,
    needs="row",
    inputs=("correct", _HITS, _FACTS),
    optional=("attempted",),
    formula="R = w_a * correct + w_f * share of the facts found",
)
def mind_paraworld(batch: SignalBatch, *, answer: float = 1.0, coverage: float = 0.5) -> Signal:
    """Mind-ParaWorld: a search is worth its answer and the facts it found, each counted once.

    The report holds the curve's end, the share of calls that returned a fact, and how many answered before they had
    seen all facts.
    """
    hits, facts = batch.objects("hits"), batch.objects("facts")
    bare = [row for row in np.flatnonzero(batch.valid).tolist() if not len(facts[row])]
    if bare:
        raise InputError(f"facts: row {bare[0]} has none; a question rests on at least one")
    curves = [fact_coverage(h, f) if live else [] for h, f, live in zip(hits, facts, batch.valid, strict=True)]
    final = np.array([curve[-1] if curve else 0.0 for curve in curves])
    attempted = batch["attempted"] if "attempted" in batch else np.ones(batch.rows, np.bool_)
    final_valid = final[batch.valid]
    called = [
        hit_precision(hits[row], facts[row])[-1] for row in np.flatnonzero(batch.valid).tolist() if len(hits[row])
    ]
    report = {
        "mind_paraworld/coverage": mean_or_none(final_valid),
        "mind_paraworld/hit_precision": mean_or_none(np.array(called)),
        "mind_paraworld/premature": int((batch.valid & attempted & (final < 1)).sum()),
    }
    return batch.signal(rewards=answer * batch["correct"] + coverage * final, report=report)


def fact_coverage(hits: Sequence[Iterable[Hashable]], facts: Iterable[Hashable]) -> list[float]:
    """Share of the facts seen after each call; hits that are no facts do not count.

    Raises:
        InputError: there are no facts.

    Source: Mind-ParaWorld (FCR).
    """
    fact_set = set(facts)
    if not fact_set:
        raise InputError("facts: none are given; a question rests on at least one")
    covered: set[Hashable] = set()
    curve = []
    for call in hits:
        covered |= fact_set.intersection(call)
        curve.append(len(covered) / len(fact_set))
    return curve


def hit_precision(hits: Sequence[Iterable[Hashable]], facts: Iterable[Hashable]) -> list[float]:
    """Share of the calls, after each, that returned a fact; empty without a call.

    Source: Mind-ParaWorld (HitPrec), its denominator reconstructed.
    """
    fact_set = set(facts)
    counts = np.cumsum([bool(fact_set.intersection(call)) for call in hits])
    return [float(n) / (k + 1) for k, n in enumerate(counts.tolist())]
