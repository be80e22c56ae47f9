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
from ._lengths import long_right_answers
from ._median import median_deviation, median_pivots
from ._progress import Progress, improvement, retrospective_advantages
from ._ranks import Ties, centred_ranks, softmax_shares
from ._risk import Papers, Risk, RiskCredit, RiskMeasure, bundle_papers, paper_values, risk_advantages
from ._shrinkage import Shrunk, shrinkage_baseline
from ._special import best_minus_second, length_weighted_baseline, pass_at_k
from ._virtual import virtual_normalise
from ._weighted import weighted_normalise

__all__ = [
    "BetaFit",
    "Centre",
    "Papers",
    "Progress",
    "Reduce",
    "Risk",
    "RiskCredit",
    "RiskMeasure",
    "Scale",
    "Shrunk",
    "Singleton",
    "Stabiliser",
    "Ties",
    "batch_moments",
    "batch_sum",
    "best_minus_second",
    "bundle_papers",
    "centred_ranks",
    "fit_normaliser",
    "group_normalise",
    "improvement",
    "inverse_density",
    "length_weighted_baseline",
    "long_right_answers",
    "median_deviation",
    "median_pivots",
    "paper_values",
    "pass_at_k",
    "retrospective_advantages",
    "risk_advantages",
    "shrinkage_baseline",
    "softmax_shares",
    "standardise",
    "virtual_normalise",
    "weighted_normalise",
]
