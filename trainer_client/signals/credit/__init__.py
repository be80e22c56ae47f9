"""Credit: one value per token or step instead of one per rollout.

`discounted_returns` and `generalised_advantages` walk back over tokens, `agent_returns` over the decisions of agents;
`optimal_token_baseline` compares with the siblings at each position; `similar_states` says which steps were taken in
the same state. `item_advantages` and `items_over_tokens` give credit to the items of a list.
"""

from ._agents import agent_returns
from ._baseline import optimal_token_baseline
from ._features import feature_credit
from ._items import item_advantages, items_over_tokens
from ._prefixes import prefix_differences
from ._returns import discounted_returns, generalised_advantages
from ._states import similar_states
from ._stepwise import step_advantages, step_gains, steps_over_tokens

__all__ = [
    "agent_returns",
    "discounted_returns",
    "feature_credit",
    "generalised_advantages",
    "item_advantages",
    "items_over_tokens",
    "optimal_token_baseline",
    "prefix_differences",
    "similar_states",
    "step_advantages",
    "step_gains",
    "steps_over_tokens",
]
