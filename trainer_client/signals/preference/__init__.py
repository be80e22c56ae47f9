"""Preference data: pairs and lists made of scored rollouts.

`best_worst_pairs` gives one pair a group, `ranked_pairs` all of them. A pair names rows of the batch.
"""

from ._pairs import best_worst_pairs, ranked_pairs

__all__ = ["best_worst_pairs", "ranked_pairs"]
