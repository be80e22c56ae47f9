"""Weights: what a trainer's loss needs from the batch, so that the loss itself stays a weighted sum.

`token_weights` turns a way of averaging token losses into one factor per token; `kl_estimate` gives the KL
penalty of each token.
`discriminative_weights` sets right answers against wrong ones, `reference_weights` rollouts
beside a reference answer.
"""

from ._aggregation import Aggregation, token_weights
from ._discriminative import discriminative_weights
from ._kl import KlKind, kl_estimate
from ._perception import perception_weights
from ._reference import reference_weights

__all__ = [
    "Aggregation",
    "KlKind",
    "discriminative_weights",
    "kl_estimate",
    "perception_weights",
    "reference_weights",
    "token_weights",
]
