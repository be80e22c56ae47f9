"""How long to wait before something that has failed is tried again."""

from __future__ import annotations


def delay_before(attempt: int, first_s: float, longest_s: float) -> float:
    """Seconds before an attempt, doubled each time up to a bound, however often it has failed.

    Args:
        attempt: How many were made with a wait; 0 for the first.
        first_s: Seconds before that one.
        longest_s: Seconds at most.
    """
    # Where it is reached, no more doubling is needed, and a float would not hold it for ever.
    return min(longest_s, first_s * 2.0 ** min(attempt, 20))
