"""Credit: one value per token or step instead of one per rollout.

`discounted_returns` and `generalised_advantages` walk back over tokens, `agent_returns` over the decisions of agents;
`optimal_token_baseline` compares with the siblings at each position; `similar_states` says which steps were taken in
the same state. `item_advantages` and `items_over_tokens` give credit to the items of a list.
`prefix_differences` credits the tokens where siblings part, `step_gains`, `step_advantages` and `steps_over_tokens`
what each step added, `feature_credit` what rollouts are made of.
"""

from ._agents import agent_returns
from ._baseline import optimal_token_baseline
from ._contrast import SignOf, contrast_credit, decayed_mix
from ._features import feature_credit
from ._items import item_advantages, items_over_tokens
from ._prefixes import prefix_differences
from ._returns import discounted_returns, generalised_advantages
from ._states import similar_states
from ._stepwise import step_advantages, step_gains, steps_over_tokens
from ._truncated import truncated_advantages

__all__ = [
    "SignOf",
    "agent_returns",
    "contrast_credit",
    "decayed_mix",
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
    "truncated_advantages",
]
