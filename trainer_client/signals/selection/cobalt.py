"""Of each group the rows whose rewards differ most; the others are dropped before the advantages.

Cobalt, OSU-NLP-Group/cobalt preproc/process_multi_turn_taco.py @18ce6aed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Input,
    InputError,
    Laws,
    Request,
    Signal,
    SignalBatch,
    golden,
    one_group,
    register,
)
from trainer_client.signals.parts.variance import max_variance_subset

_TURN_SCORES = Input(
    "turn_scores",
    "N",
    "rows",
    "pass rate of each turn of a row's conversation, in order",
    examples=([0.0, 0.5, 1.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.5]),
)


@register(
    "max_variance_subset",
    paper="cobalt",
    needs="group",
    inputs=("rewards", "groups"),
    provenance="code",
    formula="keep the m rows of the group with the largest variance: ends of the sorted rewards",
    laws=Laws(permutation=False, options={"keep": 2}),
)
def max_variance(batch: SignalBatch, *, keep: int = 4) -> Signal:
    """Of each group the rows whose rewards differ most; the others are dropped before the advantages."""
    valid, groups = batch.taken()
    kept = np.ones(batch.rows, np.bool_)
    kept[valid] = max_variance_subset(batch.rewards[valid], groups, keep)
    return batch.signal(keep=kept)


@register(
    "cobalt_trajectories",
    paper="cobalt",
    needs="group",
    inputs=(_TURN_SCORES, "groups"),
    provenance="code",
    formula="score = max - min pass rate over turns; keep scores > 0 that reach 1; of up to n the m that differ most",
    laws=Laws(permutation=False, options={"keep": 2}),
)
def cobalt_trajectories(batch: SignalBatch, *, keep: int = 4, pool: int = 16) -> Signal:
    """Cobalt's offline data: trajectories that improve, those of a task that differ most, and where to resume them.

    A task that every first turn solves is left out. Requests of kind ``continue`` name the turns (from 0) that a new
    completion may take over, with the best pass rate before it; a trajectory ends when two turns in a row are right.
    """
    turns = batch.objects("turn_scores")
    for row in np.flatnonzero(batch.valid).tolist():
        if any(not 0 <= rate <= 1 for rate in turns[row]):
            raise InputError(f"turn_scores: row {row} holds {list(turns[row])}; pass rates lie in [0, 1]")
    rates: list[Sequence[float]] = [turns[i] if v and len(turns[i]) else [0.0] for i, v in enumerate(batch.valid)]
    gain = np.array([max(r) - min(r) for r in rates])
    useful = batch.valid & (gain > 0) & np.array([max(r) >= 1 for r in rates], np.bool_)
    unsolved = batch.valid & np.array([r[0] < 1 for r in rates], np.bool_)
    useful &= batch.groups.spread(batch.groups.any(unsolved))
    part = batch.groups.take(useful)
    useful[np.flatnonzero(useful)[part.position >= pool]] = False
    kept = useful.copy()
    kept[useful] = max_variance_subset(gain[useful], batch.groups.take(useful), keep)
    requests = [
        Request(row, "continue", {"turn": turn, "previous_best": best})
        for row in np.flatnonzero(kept).tolist()
        for turn, best in _resumable(rates[row])
    ]
    return batch.signal(keep=kept, requests=requests)


def _resumable(rates: Sequence[float]) -> list[tuple[int, float]]:
    """Turns that a completion may take over, with the best rate before them."""
    turns: list[tuple[int, float]] = []
    for turn in range(len(rates)):
        if turn >= 2 and rates[turn - 1] >= 1 and rates[turn - 2] >= 1:
            break
        turns.append((turn, float(max(rates[:turn], default=0.0))))
    return turns


@golden("cobalt_max_variance_subset")
def _(case: Case) -> Any:
    scores = case.array("scores")
    groups = SignalBatch(scores, one_group(scores.size)).groups
    chosen = np.flatnonzero(max_variance_subset(scores, groups, case.params["m"]))
    return sorted(chosen.tolist(), key=lambda row: (scores[row], row))
