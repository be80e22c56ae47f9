"""Budgets of rollouts: rates for planning, and the number that each row gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import InputError
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Signal


def unit_rates(batch: SignalBatch, name: str) -> FloatArray:
    """An input of the valid rows that has to lie in [0, 1]."""
    values: FloatArray = batch[name]
    bad = np.flatnonzero(batch.valid & ((values < 0) | (values > 1)))
    if bad.size:
        raise InputError(f"{name}: row {bad[0]} holds {values[bad[0]]}; a success rate lies in [0, 1], map it there")
    return values[batch.valid]


def budgeted(batch: SignalBatch, groups: Groups, budget: IntArray, report: Mapping[str, Any]) -> Signal:
    """Every valid row gets the number of its prompt; other rows get 0."""
    spread = np.zeros(batch.rows, np.int64)
    spread[batch.valid] = groups.spread(budget)
    return batch.signal(budget=spread, report=report)
