"""Shaping: a reward is changed row by row before anything is compared.

Length: `overlong_penalty` with its three published ends, `stop_properly`, `length_surrogate`. Scale:
`asymmetric_shaping`. Progress: `improvement_reward` over turns, `decaying_exits` along a path. Peers:
`consistency_bonus`. Lists and numbers: `ranking_score`, `gain_to_go`, `fused_labels`, `ordinal_class_reward`.
Likelihood: `unlikeliness`. Length by accuracy: `leading_groups`, `relative_length_reward`; by training step:
`token_budget`, `length_reward`. Predictions of one's own rollouts: `meta_prediction_score`.
"""

from ._asymmetric import asymmetric_shaping
from ._behaviour import conditional_sign
from ._clusters import Agreement, agreement, greedy_clusters
from ._curriculum import Decay, LengthShape, length_reward, token_budget
from ._embeddings import EmbeddingReward, contrastive_embedding_reward, mean_pool
from ._exits import ExitDecay, decaying_exits, exit_positions
from ._gated_length import leading_groups, relative_length_reward
from ._history import HistoryShape, history_length_reward, repetition_penalty
from ._improvement import improvement_reward
from ._likelihood import mean_logprobs, unlikeliness
from ._meta import MetaScore, meta_prediction_score, predicted_notions, singular, whole_number
from ._ordinal import ErrorShape, error_reward, growing_horizon, ordinal_class_reward
from ._overlong import Beyond, overlong_penalty, stop_properly
from ._peers import consistency_bonus
from ._ranking import RankingScore, dcg_discounts, fused_labels, gain_to_go, ranking_score, ranking_scores
from ._surrogate import length_surrogate

__all__ = [
    "Agreement",
    "Beyond",
    "Decay",
    "EmbeddingReward",
    "ErrorShape",
    "ExitDecay",
    "HistoryShape",
    "LengthShape",
    "MetaScore",
    "RankingScore",
    "agreement",
    "asymmetric_shaping",
    "conditional_sign",
    "consistency_bonus",
    "contrastive_embedding_reward",
    "dcg_discounts",
    "decaying_exits",
    "error_reward",
    "exit_positions",
    "fused_labels",
    "gain_to_go",
    "greedy_clusters",
    "growing_horizon",
    "history_length_reward",
    "improvement_reward",
    "leading_groups",
    "length_reward",
    "length_surrogate",
    "mean_logprobs",
    "mean_pool",
    "meta_prediction_score",
    "ordinal_class_reward",
    "overlong_penalty",
    "predicted_notions",
    "ranking_score",
    "ranking_scores",
    "relative_length_reward",
    "repetition_penalty",
    "singular",
    "stop_properly",
    "token_budget",
    "unlikeliness",
    "whole_number",
]
