"""How alike two texts are: BLEU, ROUGE, word error rate."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from reward_servers.engines.text import composed

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


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
        counts, reference_counts = _ngrams(candidate, n), _ngrams(reference, n)
        extra = smoothing if n > 1 else 0.0
        matched = sum((counts & reference_counts).values()) + extra
        if matched <= 0:
            return 0.0
        logs += math.log(matched / (max(sum(counts.values()), 1) + extra)) / order
    brevity = min(0.0, 1.0 - len(reference) / len(candidate))
    return math.exp(logs + brevity)


def rouge(candidate: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
    """F-measures ``rouge1``, ``rouge2`` and ``rougeL`` of two token lists, without stemming.

    Source: Lin, ROUGE: A Package for Automatic Evaluation of Summaries (ACL 2004), with equal weight of precision and
    recall.
    """
    scores = {"rouge1": rouge_n(candidate, reference, 1), "rouge2": rouge_n(candidate, reference, 2)}
    from rapidfuzz.distance import LCSseq  # here: BLEU needs no package

    common = int(LCSseq.similarity(candidate, reference))
    scores["rougeL"] = _f_measure(common, len(candidate), len(reference))
    return scores


def rouge_n(candidate: Sequence[str], reference: Sequence[str], n: int) -> float:
    """ROUGE-N as an F-measure: see `rouge`. Texts without any n-gram share none: 0."""
    counts, reference_counts = _ngrams(candidate, n), _ngrams(reference, n)
    return _f_measure(sum((counts & reference_counts).values()), sum(counts.values()), sum(reference_counts.values()))


def gleu(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Google's BLEU of two token lists: shared n-grams of orders 1 to 4, over those of the one that has more.

    Source: Wu et al., Google's Neural Machine Translation System (2016), section 6.
    """
    shared = total = reference_total = 0
    for n in range(1, 5):
        counts, right = _ngrams(candidate, n), _ngrams(reference, n)
        shared += sum((counts & right).values())
        total, reference_total = total + sum(counts.values()), reference_total + sum(right.values())
    return shared / max(total, reference_total) if shared else 0.0


def error_rate(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Edits (insert, delete, replace one piece) that turn one into the other, over the reference's length.

    Of words it is the word error rate, of characters the character error rate. It may exceed 1. An empty reference
    counts as one piece long.
    """
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(candidate, reference)) / max(len(reference), 1)


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script, in lower case; each sign of a script without spaces by itself.

    For Latin letters without accents and digits these are the tokens of the ``rouge-score`` package.
    """
    return _WORD.findall(composed("NFKC", text).lower())


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _f_measure(matched: int, total: int, reference_total: int) -> float:
    return 2.0 * matched / (total + reference_total) if matched else 0.0
