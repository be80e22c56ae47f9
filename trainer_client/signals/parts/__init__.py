"""What several methods are made of: functions of plain arrays, `Groups` and masks, to be used on their own as well.

``docs/parts.md`` says what each is for. None knows the methods that use it.
"""

from trainer_client.signals.parts.aggregation import Aggregation, token_weights
from trainer_client.signals.parts.asymmetric import asymmetric_shaping
from trainer_client.signals.parts.budgets import budgeted, unit_rates
from trainer_client.signals.parts.columns import combined_columns, exactly, grpo_over, one_each
from trainer_client.signals.parts.combine import Combined, combine
from trainer_client.signals.parts.decoupled import decoupled_normalise, resolve_weights
from trainer_client.signals.parts.discriminative import Score, discriminative_weights, weighed
from trainer_client.signals.parts.filters import varied_groups
from trainer_client.signals.parts.group_normalise import Scale, Singleton, group_normalise
from trainer_client.signals.parts.kl import KlKind, kl_estimate
from trainer_client.signals.parts.lists import LambdaScheme, dcg_discounts, lambda_weights
from trainer_client.signals.parts.moments import RunningMoments
from trainer_client.signals.parts.overlong import Beyond, overlong_penalty
from trainer_client.signals.parts.pairs import best_worst_pairs, labelled_pairs, ranked_pairs, valid_members
from trainer_client.signals.parts.prompts import extreme_row, first_row, first_rows, unsolved_groups
from trainer_client.signals.parts.report import mean_or_none, share
from trainer_client.signals.parts.scaled import GroupScale, scaled
from trainer_client.signals.parts.standardise import batch_moments, batch_sum, is_constant, standardise
from trainer_client.signals.parts.state import Tracker, saved_ids
from trainer_client.signals.parts.terms import Action, Comparison, Gate, Optional, Term
from trainer_client.signals.parts.tokens import (
    by_position,
    generalised_advantages,
    log_ratios,
    mean_logprobs,
    token_ends,
)
from trainer_client.signals.parts.variance import max_variance_subset
from trainer_client.signals.parts.weighted import weighted_normalise

__all__ = [
    "Action",
    "Aggregation",
    "Beyond",
    "Combined",
    "Comparison",
    "Gate",
    "GroupScale",
    "KlKind",
    "LambdaScheme",
    "Optional",
    "RunningMoments",
    "Scale",
    "Score",
    "Singleton",
    "Term",
    "Tracker",
    "asymmetric_shaping",
    "batch_moments",
    "batch_sum",
    "best_worst_pairs",
    "budgeted",
    "by_position",
    "combine",
    "combined_columns",
    "dcg_discounts",
    "decoupled_normalise",
    "discriminative_weights",
    "exactly",
    "extreme_row",
    "first_row",
    "first_rows",
    "generalised_advantages",
    "group_normalise",
    "grpo_over",
    "is_constant",
    "kl_estimate",
    "labelled_pairs",
    "lambda_weights",
    "log_ratios",
    "max_variance_subset",
    "mean_logprobs",
    "mean_or_none",
    "one_each",
    "overlong_penalty",
    "ranked_pairs",
    "resolve_weights",
    "saved_ids",
    "scaled",
    "share",
    "standardise",
    "token_ends",
    "token_weights",
    "unit_rates",
    "unsolved_groups",
    "valid_members",
    "varied_groups",
    "weighed",
    "weighted_normalise",
]
