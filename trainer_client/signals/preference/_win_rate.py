"""Scores of a group's members from comparisons of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadInput

Comparison = tuple[int, int, float]
"""First member, second member, and what the first won: 1, 0, or 0.5 for a tie."""


def win_rates(comparisons: Iterable[Comparison], members: int) -> FloatArray:
    """``[G]`` share of its comparisons that a member won; NaN for one never compared.

    Raises:
        BadInput: a member does not exist or is compared with itself, or an outcome lies outside [0, 1].
    """
    won, met = np.zeros(members), np.zeros(members)
    for first, second, outcome in _checked(comparisons, members):
        won[first] += outcome
        won[second] += 1.0 - outcome
        met[[first, second]] += 1
    return np.where(met > 0, won / np.maximum(met, 1), np.nan)


def bradley_terry(
    comparisons: Iterable[Comparison], members: int, *, prior: float = 0.1, rounds: int = 200
) -> FloatArray:
    """``[G]`` log-strengths of which a logistic difference predicts the outcomes; they sum to 0.

    Unlike win rates they allow for whom a member met. Fitted by minorisation-maximisation.

    Args:
        comparisons: outcomes.
        members: number of members.
        prior: virtual ties of every member with one of average strength, which keep the strength of a member that won
            everything finite.
        rounds: of the iteration; it stops early once nothing moves.

    Raises:
        BadInput: as `win_rates`, or ``prior`` is not positive.

    Source: D. Hunter, "MM algorithms for generalized Bradley-Terry models" (2004).
    """
    if not prior > 0:
        raise BadInput(f"prior: {prior} must be positive, or a member that won everything has no finite strength")
    won, met = np.full(members, prior / 2), np.zeros((members, members))
    for first, second, outcome in _checked(comparisons, members):
        won[first] += outcome
        won[second] += 1.0 - outcome
        met[first, second] += 1
        met[second, first] += 1
    strength = np.ones(members)
    for _ in range(rounds):
        expected = (met / (strength[:, None] + strength[None, :])).sum(1) + prior / (strength + 1.0)
        updated = won / expected
        moved = float(np.abs(np.log(updated / strength)).max(initial=0.0))
        strength = updated
        if moved < 1e-12:
            break
    logs = np.log(strength)
    return logs - logs.mean() if members else logs


def dimension_win_rates(
    overall: FloatArray,
    dimensions: Mapping[str, FloatArray],
    *,
    overall_weight: float = 1.0,
    dimension_weight: float = 1.0,
    weights: Sequence[float] | None = None,
) -> FloatArray:
    """``[G]`` weighted mean of the overall win rate and the weighted mean of those by dimension.

    Args:
        overall: ``[G]``.
        dimensions: ``[G]`` win rates by name; without any the overall rate stands alone.
        overall_weight: of the overall rate.
        dimension_weight: of the dimensions together.
        weights: of each dimension; 1 each when None.

    Raises:
        BadInput: the weights do not fit or sum to 0.

    Source: Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_flex.py @3e787f6d.
    """
    if not dimensions:
        return overall
    factors = np.ones(len(dimensions)) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.size != len(dimensions) or not factors.sum() > 0 or not overall_weight + dimension_weight > 0:
        raise BadInput(f"weights: {factors.tolist()} for {len(dimensions)} dimensions must fit and sum to more than 0")
    mean = (np.array(list(dimensions.values())) * factors[:, None]).sum(0) / factors.sum()
    joined: FloatArray = (overall_weight * overall + dimension_weight * mean) / (overall_weight + dimension_weight)
    return joined


def _checked(comparisons: Iterable[Comparison], members: int) -> Iterable[Comparison]:
    for number, (first, second, outcome) in enumerate(comparisons):
        if first == second or not (0 <= first < members and 0 <= second < members):
            raise BadInput(f"comparisons: number {number} is of {first} and {second} among {members} members")
        if not 0 <= outcome <= 1:
            raise BadInput(f"comparisons: number {number} has the outcome {outcome}, which lies outside [0, 1]")
        yield first, second, outcome
