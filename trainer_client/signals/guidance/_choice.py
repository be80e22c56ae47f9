"""Which row of each group to build on, and which one it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadInput
from trainer_client.signals._groups import Groups


def first_row(groups: Groups, where: BoolArray) -> IntArray:
    """``[Q]`` each group's first row that counts; -1 where none does."""
    rows = np.where(where, np.arange(groups.rows), groups.rows)
    first = groups.min(rows) if groups.rows else np.zeros(0, np.int64)
    result: IntArray = np.where(first < groups.rows, first, -1).astype(np.int64)
    return result


def extreme_row(groups: Groups, values: AnyArray, where: BoolArray, *, lowest: bool = False) -> IntArray:
    """``[Q]`` the row with a group's highest (or lowest) value, the first of ties; -1 for a group without a row."""
    signed = np.where(where, -values if lowest else values, -np.inf)
    best = groups.spread(groups.max(signed)) if groups.rows else signed
    return first_row(groups, where & (signed == best))


def lowest_solving_hint(
    rewards: FloatArray, levels: IntArray, groups: Groups, valid: BoolArray, *, threshold: float = 0.0
) -> IntArray:
    """``[Q]`` the first row with the lowest hint level among those whose reward exceeds ``threshold``; -1 if none.

    Args:
        rewards: ``[N]``.
        levels: ``[N]`` hint level of a row; 0 for a row without a hint, which is not chosen.
        groups: partition of the rows.
        valid: ``[N]`` rows that take part.
        threshold: reward that does not count as solved yet.

    Source: Scaf-GRPO (arXiv 2510.19807); JIA-Lab-research/Scaf-GRPO hint_mix_grpo/trainer/ray_trainer.py @ac9f99ef.
    """
    return extreme_row(groups, levels, valid & (levels > 0) & (rewards > threshold), lowest=True)


class Hint(NamedTuple):
    """One step of a ladder of hints.

    Attributes:
        level: from 1, over all tiers.
        tier: number of the tier, from 0.
        texts: hints of the tier up to this one.
    """

    level: int
    tier: int
    texts: list[str]


def hint_ladder(tiers: Sequence[Sequence[str]]) -> Iterator[Hint]:
    """Each tier's hints, one more at a time; the next tier starts afresh.

    Raises:
        BadInput: the tiers are no lists of texts.
    """
    level = 0
    for tier, texts in enumerate(tiers):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise BadInput(f"hints: tier {tier} is no list of texts; hints are a list of tiers, each a list of texts")
        for number in range(1, len(texts) + 1):
            level += 1
            yield Hint(level, tier, list(texts[:number]))
