"""Pref-GRPO's reward: the share of its comparisons with siblings that a rollout won.

Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_think.py @3e787f6d.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Input,
    InputError,
    IntArray,
    Laws,
    Signal,
    SignalBatch,
    register,
)

_DIMENSION_COMPARISONS = Input(
    "dimension_comparisons",
    "N",
    "rows",
    "the same for each respect of a comparison: outcomes by its name",
    examples=({}, {"clarity": [1.0, 0.0]}, {"clarity": [0.5], "depth": []}),
)

Comparison = tuple[int, int, float]
"""First member, second member, and what the first won: 1, 0, or 0.5 for a tie."""


@register(
    "win_rate",
    paper="pref-grpo",
    needs="row",
    inputs=("comparisons",),
    provenance="code",
    formula="r_i = mean of what it won: 1, 0.5 for a tie, 0",
)
def win_rate(batch: SignalBatch) -> Signal:
    """Pref-GRPO's reward: the share of its comparisons with siblings that a rollout won.

    A comparison that could not be read is left out of the list. A rollout without any is left out itself.
    """
    rates = _rates(batch, "comparisons")
    return batch.signal(keep=~np.isnan(rates) | ~batch.valid, rewards=np.nan_to_num(rates))


@register(
    "release/win_rate",
    like="win_rate",
    formula="as win_rate, rounded to 3 decimals; 0 for a rollout that was never compared",
)
def release_win_rate(batch: SignalBatch) -> Signal:
    """Pref-GRPO's win rate of its release, which rounds, and counts no comparison as all lost."""
    return batch.signal(rewards=np.nan_to_num(_rates(batch, "comparisons")).round(3))


@register(
    "dimension_win_rate",
    paper="pref-grpo",
    needs="batch",
    inputs=("comparisons", _DIMENSION_COMPARISONS),
    provenance="code",
    source="Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_flex.py @3e787f6d",
    formula="r_i = (w_o * overall rate + w_d * weighted mean of its rates by respect) / (w_o + w_d)",
)
def dimension_win_rate(
    batch: SignalBatch,
    *,
    overall_weight: float = 1.0,
    dimension_weight: float = 1.0,
    weights: Mapping[str, float] | None = None,
) -> Signal:
    """Pref-GRPO's reward in several respects: the overall win rate and those by respect, weighted.

    A rollout without an overall comparison is left out; one compared in no respect keeps its overall rate.
    """
    overall = _rates(batch, "comparisons")
    rewards = dimension_win_rates(
        np.nan_to_num(overall),
        _rates_by_name(batch),
        overall_weight=overall_weight,
        dimension_weight=dimension_weight,
        weights=weights,
    )
    return batch.signal(keep=~np.isnan(overall) | ~batch.valid, rewards=rewards)


@register(
    "release/dimension_win_rate",
    like="dimension_win_rate",
    formula="as dimension_win_rate, rounded to 3 decimals; w_d is the weight of the last respect, whatever was asked",
    laws=Laws(permutation=False, removal=False),
)
def release_dimension_win_rate(
    batch: SignalBatch,
    *,
    overall_weight: float = 1.0,
    dimension_weight: float = 1.0,
    weights: tuple[float, ...] = (),
) -> Signal:
    """Pref-GRPO's reward in several respects of its release, whose loop overwrites the weight of the respects.

    Respects have their weights by order of appearance, 1 beyond those given.
    """
    overall = np.nan_to_num(_rates(batch, "comparisons")).round(3)
    by_name = _rates_by_name(batch)
    factors = [*weights, *[1.0] * len(by_name)][: len(by_name)]
    used = factors[-1] if factors else dimension_weight
    named = dict(zip(by_name, factors, strict=True))
    mean = dimension_win_rates(np.zeros(batch.rows), by_name, overall_weight=0.0, weights=named).round(3)
    met = [~np.isnan(rates) for rates in by_name.values()]
    mean = np.where(np.any(met, axis=0), mean, np.nan) if met else mean
    rewards = overall
    if used > 0 and met:
        rewards = dimension_win_rates(overall, {"all": mean}, overall_weight=overall_weight, dimension_weight=used)
    return batch.signal(rewards=rewards)


def _rates(batch: SignalBatch, name: str) -> FloatArray:
    """``[N]`` mean outcome of each row; NaN for one that was never compared or takes no part."""
    rows = np.flatnonzero(batch.valid)
    listed = batch.objects(name)
    return _means(batch.rows, rows, [listed[row] for row in rows.tolist()], name)


def _rates_by_name(batch: SignalBatch) -> dict[str, FloatArray]:
    """The same for each respect, in order of appearance."""
    rates: dict[str, tuple[list[int], list[Sequence[float]]]] = {}
    listed = batch.objects("dimension_comparisons")
    for row in np.flatnonzero(batch.valid).tolist():
        for name, outcomes in listed[row].items():
            rows, of_rows = rates.setdefault(name, ([], []))
            rows.append(row)
            of_rows.append(outcomes)
    return {
        name: _means(batch.rows, np.array(rows), of_rows, "dimension_comparisons")
        for name, (rows, of_rows) in rates.items()
    }


def _means(size: int, rows: IntArray, listed: Sequence[Sequence[float]], name: str) -> FloatArray:
    number = np.fromiter(map(len, listed), np.int64, len(listed))
    outcomes = np.fromiter(chain.from_iterable(listed), np.float64, int(number.sum()))
    owner = np.repeat(rows, number)
    wrong = np.flatnonzero(~((outcomes >= 0) & (outcomes <= 1)))
    if wrong.size:
        raise InputError(f"{name}: row {owner[wrong[0]]} holds {outcomes[wrong[0]]}; outcomes lie in [0, 1]")
    means = np.full(size, np.nan)
    met = number > 0
    means[rows[met]] = np.bincount(owner, outcomes, size)[rows[met]] / number[met]
    return means


def win_rates(comparisons: Iterable[Comparison], members: int) -> FloatArray:
    """``[G]`` share of its comparisons that a member won; NaN for one never compared.

    Raises:
        InputError: a member does not exist or is compared with itself, or an outcome lies outside [0, 1].
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
        InputError: as `win_rates`, or ``prior`` is not positive.

    Source: D. Hunter, "MM algorithms for generalized Bradley-Terry models" (2004).
    """
    if not prior > 0:
        raise InputError(f"prior: {prior} must be positive, or a member that won everything has no finite strength")
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
        InputError: a weight is negative, or those of both sides are 0.

    Source: Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_flex.py @3e787f6d.
    """
    factors = np.array([(weights or {}).get(name, 1.0) for name in dimensions])
    if min([overall_weight, dimension_weight, *factors.tolist()]) < 0 or not overall_weight + dimension_weight > 0:
        raise InputError("weights: they must not be negative, and not both of overall and dimensions 0")
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
            raise InputError(f"comparisons: number {number} is of {first} and {second} among {members} members")
        if not 0 <= outcome <= 1:
            raise InputError(f"comparisons: number {number} has the outcome {outcome}, which lies outside [0, 1]")
        yield first, second, outcome
