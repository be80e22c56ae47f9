"""Normalisers: rewards to advantages by a centre and a scale.

`group_normalise` is the one that group estimators are built on. `standardise` and `batch_moments` take their
statistics over the whole batch, across ranks if a `Reduce` hook is given. `length_weighted_baseline`,
`pass_at_k` and `best_minus_second` are centres of their own kind.
"""

from ._batch import Reduce, Stabiliser, batch_moments, batch_sum, standardise
from ._group import Centre, Scale, Singleton, group_normalise
from ._special import best_minus_second, length_weighted_baseline, pass_at_k

__all__ = [
    "Centre",
    "Reduce",
    "Scale",
    "Singleton",
    "Stabiliser",
    "batch_moments",
    "batch_sum",
    "best_minus_second",
    "group_normalise",
    "length_weighted_baseline",
    "pass_at_k",
    "standardise",
]
