"""From comparisons within a group to scores: who meets whom, and what follows from who won.

Nouns: a *comparison* is between two members, each of which wins a share of it; a *schedule* says which are made; a
*rating* turns their outcomes into a score for each member.
"""

from reward_servers.engines.ranking._ratings import (
    Comparison,
    bradley_terry,
    chances_to_win,
    quadratic_kappa,
    win_rates,
)
from reward_servers.engines.ranking._schedules import spread_pairs, swiss_round, windows

__all__ = [
    "Comparison",
    "bradley_terry",
    "chances_to_win",
    "quadratic_kappa",
    "spread_pairs",
    "swiss_round",
    "win_rates",
    "windows",
]
