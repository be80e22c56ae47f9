"""Which pairs of a group to compare."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["spread_pairs"]


def spread_pairs(names: Sequence[str], seed: int, most: int | None) -> list[tuple[int, int]]:
    """Chooses pairs so that everybody takes part about equally often.

    The members stand on a circle, in an order that follows from the seed and their names and not from their places:
    pairs of neighbours come first, then those further apart.

    Args:
        names: The members' names.
        seed: Another seed gives another circle.
        most: Number of pairs at most; None for all ``n (n - 1) / 2``.

    Returns:
        Pairs of places in ``names``; no pair twice. Members take part in equal numbers, give or take one.
    """

    def rank(place: int) -> tuple[bytes, int]:
        return blake2b(f"{seed}\0{names[place]}".encode("utf-8", "replace"), digest_size=8).digest(), place

    circle = sorted(range(len(names)), key=rank)
    size = len(circle)
    pairs: list[tuple[int, int]] = []
    for step in range(1, size // 2 + 1):
        # Half way round, whoever is opposite has met already.
        starts = size // 2 if 2 * step == size else size
        ring = [(circle[place], circle[(place + step) % size]) for place in _alternating(starts, step)]
        pairs += ring
        if most is not None and len(pairs) >= most:
            break
    return pairs if most is None else pairs[:most]


def _alternating(starts: int, step: int) -> list[int]:
    """Starts in an order whose beginnings leave nobody out: those that share no member come before the others."""
    first = [place for place in range(starts) if (place // step) % 2 == 0]
    return first + [place for place in range(starts) if (place // step) % 2 == 1]
