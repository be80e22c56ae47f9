"""Who meets whom. It follows from a seed and the members' names, never from the order in which they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b

Pair = tuple[int, int]

_TRIES = 2_000


def spread_pairs(names: Sequence[str], seed: int, most: int | None) -> list[Pair]:
    """Choose pairs so that everybody takes part about equally often.

    The members stand on a circle, in an order that follows from the seed and their names and not from their places:
    pairs of neighbours come first, then those further apart.

    Args:
        names: The members' names.
        seed: Another seed gives another circle.
        most: Number of pairs at most; None for all ``n (n - 1) / 2``.

    Returns:
        Pairs of places in ``names``; no pair twice. Members take part in equal numbers, give or take one.
    """
    circle = _circle(names, seed)
    size = len(circle)
    pairs: list[tuple[int, int]] = []
    for step in range(1, size // 2 + 1):
        # Half way round, the opposite pairs have met already.
        starts = size // 2 if 2 * step == size else size
        ring = [(circle[place], circle[(place + step) % size]) for place in _alternating(starts, step)]
        pairs += ring
        if most is not None and len(pairs) >= most:
            break
    return pairs if most is None else pairs[:most]


def _alternating(starts: int, step: int) -> list[int]:
    """Starts in an order whose beginnings leave no member out: those that share no member come before the others."""
    first = [place for place in range(starts) if (place // step) % 2 == 0]
    return first + [place for place in range(starts) if (place // step) % 2 == 1]


def _circle(names: Sequence[str], seed: int) -> list[int]:
    """The members on a circle: places in ``names``."""

    def rank(place: int) -> tuple[bytes, int]:
        return blake2b(f"{seed}\0{names[place]}".encode("utf-8", "replace"), digest_size=8).digest(), place

    return sorted(range(len(names)), key=rank)


def windows(names: Sequence[str], seed: int, size: int) -> list[tuple[int, ...]]:
    """Comparisons of several at once: each member begins one, followed by its neighbours on the circle.

    Every member thus takes part in ``size`` of them, once at each place.

    Args:
        names: The members' names.
        seed: Another seed gives another circle.
        size: Members of a comparison; all of them where there are fewer.

    Returns:
        Places in ``names``, for each comparison in the order in which it shows them.
    """
    circle = _circle(names, seed)
    size = min(size, len(circle))
    return [tuple(circle[(start + step) % len(circle)] for step in range(size)) for start in range(len(circle))]


def swiss_round(
    names: Sequence[str], seed: int, points: Sequence[float], played: Collection[frozenset[int]]
) -> list[Pair]:
    """The pairs of one round: members of about equal points that have not met.

    Args:
        names: The members' names.
        seed: Decides among those of equal points.
        points: What each member has won so far.
        played: Pairs of places that have met.

    Returns:
        Pairs of places, each member in one at most. Of an odd number one rests, and so do those who have met all who
        are left.
    """
    order = {place: rank for rank, place in enumerate(_circle(names, seed))}
    waiting = sorted(range(len(names)), key=lambda place: (-points[place], order[place]))
    # Of an odd number one rests: who has met most others, and of those the one of fewest points.
    resting = [-1]
    if len(waiting) % 2:
        resting = sorted(waiting, key=lambda place: (-sum(place in pair for pair in played), -waiting.index(place)))
    for bye in resting:
        pairs = _paired([place for place in waiting if place != bye], played, iter(range(_TRIES)))
        if pairs is not None:
            return pairs
    return _some_paired(waiting, played)


def _some_paired(waiting: list[int], played: Collection[frozenset[int]]) -> list[Pair]:
    """Pairs of those who can be paired, from the first one on."""
    pairs = []
    while waiting:
        first = waiting.pop(0)
        second = next((place for place in waiting if frozenset((first, place)) not in played), None)
        if second is not None:
            waiting.remove(second)
            pairs.append((first, second))
    return pairs


def _paired(waiting: Sequence[int], played: Collection[frozenset[int]], tries: Iterator[int]) -> list[Pair] | None:
    """Pairs of all, the first with the next one that it has not met and that leaves the others a way to be paired."""
    if not waiting:
        return []
    first, *opponents = waiting
    for second in opponents:
        if frozenset((first, second)) in played or next(tries, None) is None:
            continue
        further_pairs = _paired([place for place in opponents if place != second], played, tries)
        if further_pairs is not None:
            return [(first, second), *further_pairs]
    return None
