"""Credit: one value per token or step instead of one per rollout.

`discounted_returns` and `generalised_advantages` walk back over tokens; `optimal_token_baseline` compares with the
siblings at each position; `similar_states` says which steps were taken in the same state.
"""

from ._baseline import optimal_token_baseline
from ._returns import discounted_returns, generalised_advantages
from ._states import similar_states

__all__ = ["discounted_returns", "generalised_advantages", "optimal_token_baseline", "similar_states"]
