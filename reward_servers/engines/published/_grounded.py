"""Reasoning that points at regions of an image (GRIT)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reward_servers.engines.similarity import bleu

_BOX = re.compile(r"\b\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\b")
_TAGS = ("<think>", "</think>", "<rethink>", "</rethink>")
_OTHER = re.compile(r"[^a-zA-Z0-9\s]")

Box = tuple[int, int, int, int]


def answer_tag(reply: str, *, best: float = 0.5) -> float:
    """``best`` for exactly one ``<answer>``, half of it for several, 0 for none.

    Source of this module: GRIT, eric-ai-lab/GRIT grpo-gr/rewards.py @44699c9b.
    """
    count = reply.count("<answer>")
    return best if count == 1 else best / 2 * bool(count)


def answer_bleu(reply: str, reference: str, *, best: float = 0.1) -> float:
    """``best`` times BLEU-1 of what follows the first ``<answer>``, case and punctuation apart; 0 without the tag."""
    _, tag, answer = reply.partition("<answer>")
    if not tag:
        return 0.0
    words, gold = (_OTHER.sub(" ", text).lower().split() for text in (answer.partition("</answer>")[0], reference))
    return best * bleu(words, gold, max_order=1)


def reasoning_tags(reply: str, *, best: float = 0.5) -> float:
    """A fifth of ``best`` for each of the think and rethink tags in order, and for thinking of at least two words."""
    remaining, count = reply, 0
    for tag in _TAGS:
        if tag in remaining:
            count += 1
            remaining = remaining.rpartition(tag)[2]
    if count == len(_TAGS):
        thought = reply.rpartition("<think>")[2].partition("</think>")[0].strip()
        count += len(thought) > 1 and bool(re.search(r"\s", _OTHER.sub(" ", thought)))
    return count / (len(_TAGS) + 1) * best


def boxes_in(text: str) -> list[Box]:
    """Boxes written as four whole numbers with commas between them."""
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in _BOX.findall(text)]


def grounded_boxes(reply: str, *, count: int | None = None) -> float:
    """0.5 for a box before ``<rethink>``, and 1 more if there are as many as the right ``count``; 0 without the tag.

    Args:
        reply: text of the reply.
        count: right number, for a task of counting; None for other tasks.
    """
    before, tag, _ = reply.partition("<rethink>")
    if not tag:
        return 0.0
    boxes = boxes_in(before)
    return 0.5 * bool(boxes) + float(count is not None and len(boxes) == count)


def without_repeats(
    reply: str, tokens: Sequence[int], *, ngram: int = 8, best: float = 0.5, padding: int | None = None
) -> float:
    """``best`` times what is left after the shares of n-grams that the next n-gram repeats, over words and tokens.

    Negative where both shares are large. A text too short to repeat itself keeps all.

    Args:
        reply: text of the reply.
        tokens: its token ids.
        ngram: length of what is compared.
        best: for a reply without repeats.
        padding: token id at which the reply ends.

    Raises:
        ValueError: ``ngram`` is below 1.
    """
    if ngram < 1:
        raise ValueError(f"ngram: {ngram} must be at least 1")
    ids = list(tokens)
    if padding is not None and padding in ids:
        ids = ids[: ids.index(padding)]
    if len(ids) < 2 * ngram:
        return best
    words = reply.split()
    # As released, words are compared up to one n-gram from the end, where the second is cut short and never equal.
    by_word = _repeated(words, ngram, len(words) - ngram)
    by_token = _repeated(ids, ngram, len(ids) - 2 * ngram + 1)
    return best * (1.0 - by_token - by_word)


def _repeated(items: Sequence[object], ngram: int, places: int) -> float:
    """Share of the first ``places`` n-grams that are followed by their like."""
    if places < 1:
        return 0.0
    repeats = sum(items[i : i + ngram] == items[i + ngram : i + 2 * ngram] for i in range(places))
    return repeats / places
