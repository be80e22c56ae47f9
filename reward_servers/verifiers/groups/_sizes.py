"""Groups that are too large to compare each with each."""

from __future__ import annotations

from reward_servers import Group, Score


def too_large(group: Group, most: int) -> list[Score] | None:
    """The verdicts of a group with more members than are compared; None for one that is compared.

    Args:
        group: The group.
        most: Members that are compared at most.
    """
    if len(group) <= most:
        return None
    return [Score.floor("limit", f"a group of {len(group)}; at most {most} are compared")] * len(group)
