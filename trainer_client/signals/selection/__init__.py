"""Selection: which rows, groups or prompts are worth training on, and how many rollouts they deserve.

`varied_groups` and `groups_in_range` are DAPO's filter in its two published forms; `DynamicSampling` collects
kept groups over generation rounds. `max_variance_subset` keeps the rows of a group that differ most. `task_values`,
`resample_groups` and `copy_smoothing` give the places of groups without signal to better ones; `draw_prompts` draws
prompts by weight; `rare_event_bands` and `pair_prompts` match hard prompts with easy ones.
`mixed_groups` filters by accuracy, `tail_repeats` finds rollouts that run in circles, `distinct_ngrams` groups that
say the same, `aligned_counts` brings trajectories to the same number of rows. Budgets: `allocate_knapsack` (its
release: `release_knapsack`), `allocate_contrast` and `allocate_uncertain`.
"""

from ._accuracy import Uniform, mixed_groups
from ._alignment import aligned_counts
from ._budget import (
    BudgetSolver,
    Cost,
    allocate_contrast,
    allocate_knapsack,
    even_split,
    fill_by_gain,
    mixed_group_value,
    rollouts_needed,
)
from ._dynamic import DynamicSampling
from ._filters import groups_in_range, varied_groups
from ._lengths import contrastive_subset, hardest
from ._pairing import pair_prompts, rare_event_bands
from ._released_budget import release_knapsack
from ._repeats import distinct_ngrams, tail_repeats
from ._tokens import between, top_tokens
from ._uncertainty import allocate_uncertain, student_quantile
from ._values import copy_smoothing, draw_prompts, resample_groups, task_values
from ._variance import max_variance_subset

__all__ = [
    "BudgetSolver",
    "Cost",
    "DynamicSampling",
    "Uniform",
    "aligned_counts",
    "allocate_contrast",
    "allocate_knapsack",
    "allocate_uncertain",
    "between",
    "contrastive_subset",
    "copy_smoothing",
    "distinct_ngrams",
    "draw_prompts",
    "even_split",
    "fill_by_gain",
    "groups_in_range",
    "hardest",
    "max_variance_subset",
    "mixed_group_value",
    "mixed_groups",
    "pair_prompts",
    "rare_event_bands",
    "release_knapsack",
    "resample_groups",
    "rollouts_needed",
    "student_quantile",
    "tail_repeats",
    "task_values",
    "top_tokens",
    "varied_groups",
]
