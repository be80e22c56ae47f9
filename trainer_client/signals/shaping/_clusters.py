"""Rewards without labels: how many of the siblings agree with an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups

T = TypeVar("T")


class Agreement(NamedTuple):
    """How a group's answers fall into classes.

    Attributes:
        share: ``[N]`` share of the group that gave an equivalent answer.
        entropy: ``[Q]`` entropy of the shares of a group's classes, in nats.
        classes: ``[Q]`` number of classes.
        majority: ``[N]`` rows of a largest class; where several are equally large, of all of them.
    """

    share: FloatArray
    entropy: FloatArray
    classes: IntArray
    majority: BoolArray


def greedy_clusters(items: Sequence[T], equivalent: Callable[[T, T], bool]) -> IntArray:
    """``[N]`` class of each item: the first class whose first member is equivalent to it, else a new one.

    An equivalence that is not transitive makes the result depend on the order of the items.

    Args:
        items: answers of one group.
        equivalent: ``equivalent(first member of a class, item)``.

    Source: EMPO, QingyangZhang/EMPO trl/src/open_r1/rewards.py @c5eccd40.
    """
    heads: list[T] = []
    found = np.empty(len(items), np.int64)
    for place, item in enumerate(items):
        number = next((k for k, head in enumerate(heads) if equivalent(head, item)), len(heads))
        if number == len(heads):
            heads.append(item)
        found[place] = number
    return found


def agreement(groups: Groups, answers: Groups, answered: BoolArray, *, alone: bool = False) -> Agreement:
    """Shares of the classes of equivalent answers within each group.

    Args:
        groups: partition by prompt.
        answers: partition by class of equivalent answers; classes of different prompts are never joined.
        answered: ``[N]`` rows that hold an answer.
        alone: rows without an answer are each a class of their own, instead of one class by their id.
    """
    classes = groups.cross(answers)
    if alone:
        missing = np.cumsum(~answered) * ~answered
        classes = classes.cross(Groups.of(missing))
    group_of = groups.index[classes.first(np.arange(classes.rows))] if classes.rows else np.zeros(0, np.int64)
    share = classes.sizes / groups.sizes[group_of]
    entropy: FloatArray = -np.bincount(group_of, share * np.log(share), len(groups)).astype(np.float64) + 0.0
    number = np.bincount(group_of, minlength=len(groups))
    largest = np.zeros(len(groups))
    np.maximum.at(largest, group_of, share)
    spread = classes.spread(share)
    return Agreement(spread, entropy, number, spread >= groups.spread(largest) - 1e-12)
