"""Combination: several scores of a rollout become one reward.

`combine` applies what a recipe says: weights, gates, which scores are required and what a missing one does. A
`Term` is one column of the score table, a `Gate` its condition, a `Combined` the outcome with each term's part.
`decoupled_normalise` normalises each reward on its own before the sum.
"""

from ._combine import Combined, combine
from ._decoupled import decoupled_normalise, resolve_weights
from ._terms import Action, Gate, Optional, Term

__all__ = ["Action", "Combined", "Gate", "Optional", "Term", "combine", "decoupled_normalise", "resolve_weights"]
