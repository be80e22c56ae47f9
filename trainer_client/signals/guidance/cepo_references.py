"""CEPO's teacher passes: whose answer is to stand as the wrong one before each rollout.

ahmedheakl/CEPO verl/trainer/ray_trainer.py _build_cepo_teacher_batch @7a9655d2.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Request, Signal, SignalBatch, register


@register(
    "cepo_references",
    paper="cepo",
    needs="group",
    inputs=("rewards", "groups"),
    provenance="code",
    formula="wrong reference: the group's lowest score, if below wrong_below",
)
def cepo_references(batch: SignalBatch, *, wrong_below: float = 0.5) -> Signal:
    """CEPO's teacher passes: whose answer is to stand as the wrong one before each rollout.

    A request of kind ``teacher`` for every valid row. Its ``wrong_row`` is None in a group without a wrong rollout,
    for which the right answer stands on both sides. Of tied rows the first is taken.
    """
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    rewards = batch.rewards[valid]
    lowest = np.full(len(groups), -1, np.int64)
    bottom = np.flatnonzero(groups.rank(rewards) == 0)
    lowest[groups.index[bottom]] = np.where(rewards[bottom] < wrong_below, rows[bottom], -1)
    requests = [
        Request(int(row), "teacher", {"wrong_row": None if wrong < 0 else int(wrong)})
        for row, wrong in zip(rows.tolist(), groups.spread(lowest).tolist(), strict=True)
    ]
    return batch.signal(requests=requests, report={"cepo/without_wrong": int((lowest < 0).sum())})
