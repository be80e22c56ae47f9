"""Drops groups that solved their prompt throughout, or not at all; NGRPO keeps the latter.

NGRPO (arXiv 2509.18851); nangongrui-ngr/NGRPO verl/trainer/ppo/ray_trainer.py @e7a38041.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Laws,
    OptionError,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)

Uniform = Literal["all", "all_correct", "all_incorrect"]


@register(
    "accuracy_filter",
    paper="ngrpo",
    needs="group",
    inputs=("rewards", "groups"),
    provenance="code",
    formula="drop a group whose rows are all right, all wrong, or either",
    laws=Laws(rewards="binary"),
)
def accuracy_filter(batch: SignalBatch, *, drop: Uniform = "all_correct", correct: float = 1.0) -> Signal:
    """Drop groups that solved their prompt throughout, or not at all; NGRPO keeps the latter."""
    keep = mixed_groups(batch.rewards, batch.groups, batch.valid, drop, correct=correct)
    share = float((keep & batch.valid).sum() / max(int(batch.valid.sum()), 1))
    return batch.signal(keep=keep, report={"accuracy_filter/kept": share})


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
        OptionError: ``drop`` is none of these.
    """
    if drop not in get_args(Uniform):
        raise OptionError(f"drop: {drop!r} is not one of {', '.join(get_args(Uniform))}")
    number, right = groups.sum(valid), groups.sum(valid & (rewards >= correct))
    kept = number > 0
    if drop != "all_incorrect":
        kept = kept & (right < number)
    if drop != "all_correct":
        kept = kept & (right > 0)
    result: BoolArray = groups.spread(kept)
    return result


@golden("group_filter_by_accuracy")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["group"])
    return method("accuracy_filter", drop=case.params["strategy"])(batch).keep
