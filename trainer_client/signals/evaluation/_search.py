"""What a search found, and whether the answer made use of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import BoolArray
from trainer_client.signals._errors import BadInput


class SearchMetrics(NamedTuple):
    """Search, refusal and use of evidence, apart. A figure without a case is None.

    Attributes:
        knowledge: share of questions for which the search found all that is needed.
        refusal_f1: of refusing exactly where it did not.
        use_f1: of answering rightly exactly where it did.
        generation: ``(refusal_f1 + use_f1) / 2 * knowledge``.
    """

    knowledge: float | None
    refusal_f1: float | None
    use_f1: float | None
    generation: float | None


def fact_coverage(hits: Sequence[Iterable[Hashable]], facts: Iterable[Hashable]) -> list[float]:
    """Share of the facts seen after each call; hits that are no facts do not count.

    Raises:
        BadInput: there are no facts.

    Source: Mind-ParaWorld (FCR).
    """
    wanted = set(facts)
    if not wanted:
        raise BadInput("facts: none are given; a question rests on at least one")
    seen: set[Hashable] = set()
    curve = []
    for call in hits:
        seen |= wanted.intersection(call)
        curve.append(len(seen) / len(wanted))
    return curve


def hit_precision(hits: Sequence[Iterable[Hashable]], facts: Iterable[Hashable]) -> list[float]:
    """Share of the calls, after each, that returned a fact; empty without a call.

    Source: Mind-ParaWorld (HitPrec), its denominator reconstructed.
    """
    wanted = set(facts)
    found = np.cumsum([bool(wanted.intersection(call)) for call in hits])
    return [float(n) / (k + 1) for k, n in enumerate(found.tolist())]


def evidence_overlap(selected: Iterable[Hashable], gold: Iterable[Hashable]) -> float:
    """Intersection over union of two sets of evidence; 1 when both are empty."""
    chosen, right = set(selected), set(gold)
    return len(chosen & right) / len(chosen | right) if chosen or right else 1.0


def search_metrics(sufficient: BoolArray, attempted: BoolArray, correct: BoolArray) -> SearchMetrics:
    """WebDetective's factorised metrics.

    Args:
        sufficient: ``[N]`` the search found all evidence, or the policy knew what was missing.
        attempted: ``[N]`` an answer was given instead of a refusal.
        correct: ``[N]`` the answer is right.

    Source: WebDetective (arXiv 2510.05137), quoted in a public note; the denominators of ``use_f1`` are reconstructed
    and give seven of nine printed rows.
    """
    if not sufficient.size:
        return SearchMetrics(None, None, None, None)
    refused, used = ~attempted, attempted & correct & sufficient
    refusal = _f1(int((refused & ~sufficient).sum()), int(refused.sum()), int((~sufficient).sum()))
    use = _f1(int(used.sum()), int(attempted.sum()), int(sufficient.sum()))
    knowledge = float(sufficient.mean())
    whole = None if refusal is None or use is None else (refusal + use) / 2 * knowledge
    return SearchMetrics(knowledge, refusal, use, whole)


def _f1(both: int, named: int, true: int) -> float | None:
    """Harmonic mean of ``both / named`` and ``both / true``; None when there is neither."""
    return 2.0 * both / (named + true) if named + true else None
