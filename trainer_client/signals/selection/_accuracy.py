"""Filters by whether a group has solved its prompt."""

from __future__ import annotations

from typing import Literal, get_args

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups

Uniform = Literal["all", "all_correct", "all_incorrect"]


def mixed_groups(
    rewards: FloatArray, groups: Groups, valid: BoolArray, drop: Uniform = "all", *, correct: float = 1.0
) -> BoolArray:
    """``[N]`` rows of groups that are left when those all right or all wrong are dropped.

    Args:
        rewards: ``[N]``; a row is right from ``correct`` on.
        groups: partition of the rows.
        valid: ``[N]`` rows that take part; a group without any is dropped.
        drop: ``all_correct``, ``all_incorrect``, or both (``all``).
        correct: lowest reward of a right row.

    Raises:
        BadOption: ``drop`` is none of these.
    """
    if drop not in get_args(Uniform):
        raise BadOption(f"drop: {drop!r} is not one of {', '.join(get_args(Uniform))}")
    number, right = groups.sum(valid), groups.sum(valid & (rewards >= correct))
    kept = number > 0
    if drop != "all_incorrect":
        kept = kept & (right < number)
    if drop != "all_correct":
        kept = kept & (right > 0)
    result: BoolArray = groups.spread(kept)
    return result
