"""The row of each group to continue from, and the groups without a solution."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups


def first_rows(groups: Groups, rows: BoolArray, chosen: BoolArray) -> list[int]:
    """First of ``rows`` in each chosen group."""
    number = np.where(rows, np.arange(groups.rows), groups.rows)
    first = groups.min(number)
    return [int(row) for row in first[chosen & (first < groups.rows)]] if len(groups) else []


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


def unsolved_groups(rewards: FloatArray, groups: Groups, valid: BoolArray, *, threshold: float = 0.5) -> BoolArray:
    """``[Q]`` groups that have a valid row and none with a reward above ``threshold``.

    A group without a valid row is not unsolved: nothing is known of it.
    """
    best = groups.max(np.where(valid, rewards, -np.inf))
    result: BoolArray = groups.any(valid) & (best <= threshold)
    return result
