"""Figures for reports."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch


def share(keep: np.ndarray, batch: SignalBatch) -> float:
    """Share of the valid rows that are kept."""
    return float((keep & batch.valid).sum() / max(int(batch.valid.sum()), 1))


def mean_or_none(values: FloatArray) -> float | None:
    """The mean, or None if there are no values."""
    return float(np.mean(values)) if np.size(values) else None
