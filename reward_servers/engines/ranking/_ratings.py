"""Scores from the outcomes of comparisons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_ROUNDS = 1_000
_STILL = 1e-10


class Comparison(NamedTuple):
    """What two members won when they met.

    Attributes:
        first: Place of one member.
        second: Place of the other.
        won: What the first won: 1, 0, or a share for a tie.
        lost: What the second won; the rest to 1, unless neither deserved to win.
    """

    first: int
    second: int
    won: float
    lost: float


def win_rates(comparisons: Iterable[Comparison], members: int) -> list[float | None]:
    """The share of its comparisons that each member won; None for one that took part in none."""
    won, played = [0.0] * members, [0] * members
    for comparison in comparisons:
        won[comparison.first] += comparison.won
        won[comparison.second] += comparison.lost
        played[comparison.first] += 1
        played[comparison.second] += 1
    return [share / count if count else None for share, count in zip(won, played, strict=True)]


def bradley_terry(comparisons: Sequence[Comparison], members: int, *, prior: float = 0.1) -> list[float]:
    """Strengths whose logistic differences predict who wins; unlike win rates they allow for whom a member met.

    Fitted by minorisation-maximisation (D. Hunter, "MM algorithms for generalized Bradley-Terry models", 2004).

    Args:
        comparisons: The outcomes.
        members: Number of members.
        prior: Virtual ties of every member with one of average strength, which keep the strength of a member that won
            everything finite.

    Returns:
        Natural logarithms of the strengths; they sum to 0.

    Raises:
        ValueError: ``prior`` is not positive.
    """
    if not prior > 0:
        raise ValueError(f"prior: {prior} must be positive, or who won everything has no finite strength")
    won, met_counts = [prior / 2] * members, [[0.0] * members for _ in range(members)]
    for comparison in comparisons:
        won[comparison.first] += comparison.won
        won[comparison.second] += comparison.lost
        met_counts[comparison.first][comparison.second] += 1
        met_counts[comparison.second][comparison.first] += 1
    strength = [1.0] * members
    for _ in range(_ROUNDS):
        updated = [
            won[place]
            / (
                prior / (strength[place] + 1.0)
                + sum(
                    count / (strength[place] + rival_strength)
                    for count, rival_strength in zip(met_counts[place], strength, strict=True)
                )
            )
            for place in range(members)
        ]
        moved = max((abs(math.log(new / old)) for new, old in zip(updated, strength, strict=True)), default=0.0)
        strength = updated
        if moved < _STILL:
            break
    logs = [math.log(s) for s in strength]
    mean = sum(logs) / members if members else 0.0
    return [log - mean for log in logs]


def chances_to_win(strengths: Sequence[float]) -> list[float]:
    """How likely each member is to win against another of the group, drawn by lot; between 0 and 1."""
    if len(strengths) < 2:
        return [0.5] * len(strengths)
    return [
        sum(
            1 / (1 + math.exp(rival_strength - own)) for rival, rival_strength in enumerate(strengths) if rival != place
        )
        / (len(strengths) - 1)
        for place, own in enumerate(strengths)
    ]


def quadratic_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa of two lists of ordered classes, with quadratic weights; None where all are of one class.

    ``1 - sum_ij w_ij O_ij / sum_ij w_ij E_ij`` with ``w_ij = (i - j)^2``: ``O`` is what occurs together, ``E`` what
    would if the lists were independent. Below 0 they agree less than by chance.

    Source: Cohen, Weighted kappa (Psychological Bulletin 70, 1968).
    """
    count = len(first)
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / count if count else 0.0
    shares = [Counter(ratings) for ratings in (first, second)]
    chance = sum((i - j) ** 2 * a * b for i, a in shares[0].items() for j, b in shares[1].items())
    return 1.0 - observed / (chance / count**2) if chance else None
