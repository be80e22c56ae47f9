"""Shaping: a reward is changed row by row before anything is compared.

Length: `overlong_penalty` with its three published ends, `stop_properly`, `length_surrogate`. Scale:
`asymmetric_shaping`. Progress: `improvement_reward` over turns, `decaying_exits` along a path. Peers:
`consistency_bonus`. Lists and numbers: `ranking_score`, `gain_to_go`, `fused_labels`, `ordinal_class_reward`.
"""

from ._asymmetric import asymmetric_shaping
from ._curriculum import Decay, LengthShape, length_reward, token_budget
from ._exits import ExitDecay, decaying_exits, exit_positions
from ._gated_length import leading_groups, relative_length_reward
from ._improvement import improvement_reward
from ._likelihood import mean_logprobs, unlikeliness
from ._meta import MetaScore, meta_prediction_score, predicted_notions, singular, whole_number
from ._ordinal import ordinal_class_reward
from ._overlong import Beyond, overlong_penalty, stop_properly
from ._peers import consistency_bonus
from ._ranking import RankingScore, dcg_discounts, fused_labels, gain_to_go, ranking_score
from ._surrogate import length_surrogate

__all__ = [
    "Beyond",
    "Decay",
    "ExitDecay",
    "LengthShape",
    "MetaScore",
    "RankingScore",
    "asymmetric_shaping",
    "consistency_bonus",
    "dcg_discounts",
    "decaying_exits",
    "exit_positions",
    "fused_labels",
    "gain_to_go",
    "improvement_reward",
    "leading_groups",
    "length_reward",
    "length_surrogate",
    "mean_logprobs",
    "meta_prediction_score",
    "ordinal_class_reward",
    "overlong_penalty",
    "predicted_notions",
    "ranking_score",
    "relative_length_reward",
    "singular",
    "stop_properly",
    "token_budget",
    "unlikeliness",
    "whole_number",
]
