"""Preference data: pairs and lists made of scored rollouts, and scores made of comparisons.

`best_worst_pairs` gives one pair a group, `ranked_pairs` all of them, `version_pairs` those known by
construction. A pair names rows of the batch. `win_rates`, `bradley_terry` and `dimension_win_rates` go the other way.
"""

from ._lists import LambdaScheme, lambda_weights, win_shares
from ._pairs import best_worst_pairs, ranked_pairs, version_pairs
from ._win_rate import Comparison, bradley_terry, dimension_win_rates, win_rates

__all__ = [
    "Comparison",
    "LambdaScheme",
    "best_worst_pairs",
    "bradley_terry",
    "dimension_win_rates",
    "lambda_weights",
    "ranked_pairs",
    "version_pairs",
    "win_rates",
    "win_shares",
]
