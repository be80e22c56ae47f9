"""Normalisers: rewards to advantages by a centre and a scale.

`group_normalise` is the one that group estimators are built on. `standardise` and `batch_moments` take their
statistics over the whole batch, across ranks if a `Reduce` hook is given. `length_weighted_baseline`,
`pass_at_k` and `best_minus_second` are centres of their own kind, as are `median_pivots`, `shrinkage_baseline` (a
prior value), `centred_ranks` and `softmax_shares`. `fit_normaliser` and `inverse_density` weigh prompts by how common
their success rate is.
`virtual_normalise` extends groups by rows nobody generated, `weighted_normalise` counts rows more or less than once.
"""

from ._batch import Reduce, Stabiliser, batch_moments, batch_sum, standardise
from ._beta import BetaFit, fit_normaliser, inverse_density
from ._group import Centre, Scale, Singleton, group_normalise
from ._median import median_deviation, median_pivots
from ._ranks import Ties, centred_ranks, softmax_shares
from ._shrinkage import Shrunk, shrinkage_baseline
from ._special import best_minus_second, length_weighted_baseline, pass_at_k
from ._virtual import virtual_normalise
from ._weighted import weighted_normalise

__all__ = [
    "BetaFit",
    "Centre",
    "Reduce",
    "Scale",
    "Shrunk",
    "Singleton",
    "Stabiliser",
    "Ties",
    "batch_moments",
    "batch_sum",
    "best_minus_second",
    "centred_ranks",
    "fit_normaliser",
    "group_normalise",
    "inverse_density",
    "length_weighted_baseline",
    "median_deviation",
    "median_pivots",
    "pass_at_k",
    "shrinkage_baseline",
    "softmax_shares",
    "standardise",
    "virtual_normalise",
    "weighted_normalise",
]
