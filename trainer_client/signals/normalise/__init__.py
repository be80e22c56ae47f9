"""Normalisers: rewards to advantages by a centre and a scale.

`group_normalise` is the one every group estimator is built on; `batch_moments` and `whiten` take their
statistics over the whole batch, across ranks if a reduce hook is given.
"""

from ._batch import Reduce, batch_moments, standardise, whiten
from ._group import Centre, Scale, Singleton, group_normalise

__all__ = [
    "Centre",
    "Reduce",
    "Scale",
    "Singleton",
    "batch_moments",
    "group_normalise",
    "standardise",
    "whiten",
]
