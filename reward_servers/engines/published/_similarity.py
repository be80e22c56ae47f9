"""How alike two texts are: BLEU, ROUGE, word error rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def bleu(candidate: Sequence[str], reference: Sequence[str], *, max_order: int = 4, smoothing: float = 0.0) -> float:
    """BLEU of a candidate against one reference, both as tokens, with uniform weights over orders.

    The order is held to the reference's length, so that a right answer of one word scores 1 (the length-aware form).

    Args:
        candidate: tokens of the text.
        reference: tokens that would have been right.
        max_order: longest n-gram.
        smoothing: added to matches and totals of orders above 1; 0 makes any order without a match a 0.
    """
    order = min(max_order, len(reference))
    if not candidate or order < 1:
        return 0.0
    logs = 0.0
    for n in range(1, order + 1):
        ours, theirs = _ngrams(candidate, n), _ngrams(reference, n)
        extra = smoothing if n > 1 else 0.0
        matched = sum((ours & theirs).values()) + extra
        if matched <= 0:
            return 0.0
        logs += math.log(matched / (max(sum(ours.values()), 1) + extra)) / order
    brevity = min(0.0, 1.0 - len(reference) / len(candidate))
    return math.exp(logs + brevity)


def rouge(candidate: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
    """F-measures ``rouge1``, ``rouge2`` and ``rougeL`` of two token lists, without stemming."""
    scores = {}
    for name, n in (("rouge1", 1), ("rouge2", 2)):
        ours, theirs = _ngrams(candidate, n), _ngrams(reference, n)
        scores[name] = _f_measure(sum((ours & theirs).values()), sum(ours.values()), sum(theirs.values()))
    scores["rougeL"] = _f_measure(_common_subsequence(candidate, reference), len(candidate), len(reference))
    return scores


def word_error_rate(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Edits (insert, delete, replace a word) that turn one into the other, over the reference's length.

    An empty reference counts as one word long.
    """
    row = list(range(len(candidate) + 1))
    for i, right in enumerate(reference, start=1):
        above, row[0] = row[0], i
        for j, word in enumerate(candidate, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != right))
    return row[-1] / max(len(reference), 1)


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _f_measure(matched: int, ours: int, theirs: int) -> float:
    return 2.0 * matched / (ours + theirs) if matched else 0.0


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)
    for word in a:
        above = 0
        for j, other in enumerate(b, start=1):
            above, row[j] = row[j], above + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]
