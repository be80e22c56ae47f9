"""Filters that keep or drop whole groups by a metric of their rows."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._groups import Groups


def varied_groups(metric: FloatArray, groups: Groups, valid: BoolArray, *, keep_singletons: bool = True) -> BoolArray:
    """``[N]`` rows of groups whose valid rows differ in ``metric`` (`Groups.constant`).

    A group with one valid row has nothing to differ from: it is kept (verl's rule) or not. A group without a
    valid row is dropped.
    """
    live = groups.take(valid)
    kept = ~live.constant(metric[valid])
    if keep_singletons:
        kept |= live.sizes == 1
    # Rows without a verdict go with their group.
    alive = np.zeros(groups.rows)
    alive[valid] = live.spread(kept)
    result: BoolArray = groups.spread(groups.any(alive > 0))
    return result


def teaching_groups(batch: SignalBatch, *, keep_singletons: bool = True) -> BoolArray:
    """``[N]`` rows of groups in which what the later stages read differs.

    That is the reward, on its own or before a stage that reads it. Before stages that take the rewards apart it is
    each of the components: two that cancel in their sum still teach.
    """
    metrics: list[tuple[FloatArray, BoolArray]] = []
    if "components" in batch.ahead and "components" in batch:
        given = batch.components_given
        metrics += [(batch["components"][:, k], given[:, k]) for k in range(given.shape[1])]
    if not metrics or "rewards" in batch.ahead:
        metrics.append((batch.rewards, batch.valid))
    varied = np.zeros(batch.rows, np.bool_)
    for metric, given in metrics:
        varied |= varied_groups(metric, batch.groups, given, keep_singletons=False)
    if keep_singletons:
        varied |= batch.groups.spread(batch.groups.sum(batch.valid)) == 1
    return varied
