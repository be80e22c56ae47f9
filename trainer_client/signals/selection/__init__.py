"""Selection: which rows, groups or prompts are worth training on.

`varied_groups` and `groups_in_range` are DAPO's filter in its two published forms; `DynamicSampling` collects
kept groups over generation rounds.
"""

from ._dynamic import DynamicSampling
from ._filters import groups_in_range, varied_groups

__all__ = ["DynamicSampling", "groups_in_range", "varied_groups"]
