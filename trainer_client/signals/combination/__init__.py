"""Combination: several scores of a rollout become one reward.

`combine` applies what a recipe says: weights, gates, which scores are required and what a missing one does. A
`Term` is one column of the score table, a `Gate` its condition, a `Combined` the outcome with each term's part.
`decoupled_normalise` normalises each reward on its own before the sum. `mix_rubric` and `mutation_reward` are rewards
that count only once others are earned.
 `rubric_reward` is the share of a
rubric's criteria that is met.

Gates act in the order of the terms. The first closed gate ends the row: its own weighted score and those
of the gates before it count, its ``closed`` value stands for all the rest, and scores behind it are not
needed (a cascade may have skipped them). A missing gate masks the row, since nobody knows what lies
behind it.

A missing *required* score masks the row, and so does the want of every score. A missing *optional* score
takes no part, which has three readings:

- ``neutral`` (default): the row gets the mean contribution of the term over the valid rows of its group
  that have it, so that the term moves the row neither up nor down among its siblings. Where no sibling
  has it, the term contributes 0 to the whole group. This is what decoupled normalisation does, too.
- ``omit``: it adds nothing. In a group that scores the row below its siblings by the whole term, as if it
  had got a 0 (TRL's rule), so it has to be asked for.
- ``renormalise``: the other weights are scaled up by ``sum |w| / sum |w present|``, which assumes that
  the missing score equals the mean of the others.
"""

from ._bayes import Decision, decide, value_of_information
from ._combine import Combined, combine
from ._decoupled import decoupled_normalise, resolve_weights
from ._gated import RubricUse, group_max_normalised, mix_rubric, mutation_reward
from ._joined import joined
from ._levels import levelled_reward, softly_gated
from ._rubric import rubric_reward
from ._terms import Action, Gate, Optional, Term

__all__ = [
    "Action",
    "Combined",
    "Decision",
    "Gate",
    "Optional",
    "RubricUse",
    "Term",
    "combine",
    "decide",
    "decoupled_normalise",
    "group_max_normalised",
    "joined",
    "levelled_reward",
    "mix_rubric",
    "mutation_reward",
    "resolve_weights",
    "rubric_reward",
    "softly_gated",
    "value_of_information",
]
