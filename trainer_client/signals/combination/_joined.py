"""A score of one row that another row of the same trajectory is rewarded by."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def joined(
    values: FloatArray, source: BoolArray, trajectories: Groups, known: BoolArray | None = None
) -> tuple[FloatArray, BoolArray]:
    """``[N]`` value of the first source row of each row's trajectory, and where there is one.

    A sub-agent's reward counts whether the main agent was right: with the main agent's rows as the source, this hands
    their correctness to the rows of the sub-agents.

    Args:
        values: ``[N]``; entries of other rows are not read.
        source: ``[N]`` rows to take the value from.
        trajectories: partition of the rows by rollout.
        known: ``[N]`` rows whose value exists; None for all.
    """
    usable = source if known is None else source & known
    rows: AnyArray = np.where(usable, np.arange(values.size), values.size)
    first = trajectories.min(rows) if rows.size else rows
    there: BoolArray = trajectories.spread(first < values.size)
    taken = values[trajectories.spread(np.minimum(first, values.size - 1))] if rows.size else values
    return np.where(there, taken, 0.0), there
