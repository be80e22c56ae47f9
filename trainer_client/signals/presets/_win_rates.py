"""Win rates: what a rollout won of the comparisons with its siblings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.preference import dimension_win_rates

_PREF = "Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards"


@register(
    "win_rate",
    room="shaping",
    needs="row",
    inputs=("comparisons",),
    certainty="code",
    source=f"{_PREF}/unifiedreward_think.py @3e787f6d",
    formula="r_i = mean of what it won: 1, 0.5 for a tie, 0",
    papers=("pref-grpo",),
)
def win_rate(batch: SignalBatch) -> Signal:
    """Pref-GRPO's reward: the share of its comparisons with siblings that a rollout won.

    A comparison that could not be read is left out of the list. A rollout without any is left out itself.
    """
    rates = _rates(batch, "comparisons")
    return batch.signal(keep=~np.isnan(rates) | ~batch.valid, rewards=np.nan_to_num(rates))


@register(
    "release/win_rate",
    room="shaping",
    needs="row",
    inputs=("comparisons",),
    certainty="code",
    source=f"{_PREF}/unifiedreward_think.py @3e787f6d",
    formula="as win_rate, rounded to 3 decimals; 0 for a rollout that was never compared",
    papers=("pref-grpo",),
)
def release_win_rate(batch: SignalBatch) -> Signal:
    """Pref-GRPO's win rate of its release, which rounds, and counts no comparison as all lost."""
    return batch.signal(rewards=np.nan_to_num(_rates(batch, "comparisons")).round(3))


@register(
    "dimension_win_rate",
    room="shaping",
    needs="batch",
    inputs=("comparisons", "dimension_comparisons"),
    certainty="code",
    source=f"{_PREF}/unifiedreward_flex.py @3e787f6d",
    formula="r_i = (w_o * overall rate + w_d * weighted mean of its rates by respect) / (w_o + w_d)",
    papers=("pref-grpo",),
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
    room="shaping",
    needs="batch",
    inputs=("comparisons", "dimension_comparisons"),
    certainty="code",
    source=f"{_PREF}/unifiedreward_flex.py @3e787f6d",
    formula="as dimension_win_rate, rounded to 3 decimals; w_d is the weight of the last respect, whatever was asked",
    papers=("pref-grpo",),
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
    found: dict[str, tuple[list[int], list[Sequence[float]]]] = {}
    listed = batch.objects("dimension_comparisons")
    for row in np.flatnonzero(batch.valid).tolist():
        for name, outcomes in listed[row].items():
            rows, of_rows = found.setdefault(name, ([], []))
            rows.append(row)
            of_rows.append(outcomes)
    return {
        name: _means(batch.rows, np.array(rows), of_rows, "dimension_comparisons")
        for name, (rows, of_rows) in found.items()
    }


def _means(size: int, rows: IntArray, listed: Sequence[Sequence[float]], name: str) -> FloatArray:
    number = np.fromiter(map(len, listed), np.int64, len(listed))
    outcomes = np.fromiter(chain.from_iterable(listed), np.float64, int(number.sum()))
    owner = np.repeat(rows, number)
    wrong = np.flatnonzero(~((outcomes >= 0) & (outcomes <= 1)))
    if wrong.size:
        raise BadInput(f"{name}: row {owner[wrong[0]]} holds {outcomes[wrong[0]]}; outcomes lie in [0, 1]")
    means = np.full(size, np.nan)
    met = number > 0
    means[rows[met]] = np.bincount(owner, outcomes, size)[rows[met]] / number[met]
    return means
