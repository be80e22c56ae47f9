"""Scores of a group's members from comparisons of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    weights: Mapping[str, float] | None = None,
) -> FloatArray:
    """``[G]`` weighted mean of the overall win rate and the weighted mean of those by dimension.

    Args:
        overall: ``[G]``.
        dimensions: ``[G]`` win rates by name; NaN for a member that was not compared in that respect. A member compared
            in none keeps its overall rate.
        overall_weight: of the overall rate.
        dimension_weight: of the dimensions together.
        weights: of the dimensions by name; 1 for those not named.

    Raises:
        BadInput: a weight is negative, or those of both sides are 0.

    Source: Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_flex.py @3e787f6d.
    """
    factors = np.array([(weights or {}).get(name, 1.0) for name in dimensions])
    if min([overall_weight, dimension_weight, *factors.tolist()]) < 0 or not overall_weight + dimension_weight > 0:
        raise BadInput("weights: they must not be negative, and not both of overall and dimensions 0")
    if not dimensions:
        return overall
    rates = np.array(list(dimensions.values()))
    counted = factors[:, None] * ~np.isnan(rates)
    total = counted.sum(0)
    mean = (counted * np.nan_to_num(rates)).sum(0) / np.where(total > 0, total, 1.0)
    joined = (overall_weight * overall + dimension_weight * mean) / (overall_weight + dimension_weight)
    return np.where(total > 0, joined, overall)


def _checked(comparisons: Iterable[Comparison], members: int) -> Iterable[Comparison]:
    for number, (first, second, outcome) in enumerate(comparisons):
        if first == second or not (0 <= first < members and 0 <= second < members):
            raise BadInput(f"comparisons: number {number} is of {first} and {second} among {members} members")
        if not 0 <= outcome <= 1:
            raise BadInput(f"comparisons: number {number} has the outcome {outcome}, which lies outside [0, 1]")
        yield first, second, outcome
