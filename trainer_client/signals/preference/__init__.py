"""Preference data: pairs and lists made of scored rollouts, and scores made of comparisons.

`best_worst_pairs` gives one pair a group, `ranked_pairs` all of them, `version_pairs` those known by
construction. A pair names rows of the batch. `win_rates`, `bradley_terry` and `dimension_win_rates` go the other way.
"""

from ._lists import LambdaScheme, lambda_weights, win_shares
from ._margins import constraint_pairs, contrast_pairs, labelled_pairs, large_margin_pairs
from ._pairs import best_worst_pairs, ranked_pairs, version_pairs
from ._sampling import Draw, rejection_sample, replay_quotas, tournament_pairs
from ._strength import (
    Denoise,
    Denoised,
    Strength,
    denoise_pairs,
    normalised_entropy,
    preference_strength,
    rejected_weights,
)
from ._tools import option_reward, sibling_pairs, token_overlap, tool_step_reward, tree_choice
from ._win_rate import Comparison, bradley_terry, dimension_win_rates, win_rates

__all__ = [
    "Comparison",
    "Denoise",
    "Denoised",
    "Draw",
    "LambdaScheme",
    "Strength",
    "best_worst_pairs",
    "bradley_terry",
    "constraint_pairs",
    "contrast_pairs",
    "denoise_pairs",
    "dimension_win_rates",
    "labelled_pairs",
    "lambda_weights",
    "large_margin_pairs",
    "normalised_entropy",
    "option_reward",
    "preference_strength",
    "ranked_pairs",
    "rejected_weights",
    "rejection_sample",
    "replay_quotas",
    "sibling_pairs",
    "token_overlap",
    "tool_step_reward",
    "tournament_pairs",
    "tree_choice",
    "version_pairs",
    "win_rates",
    "win_shares",
]
