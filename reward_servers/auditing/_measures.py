"""Figures of an audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959963984540054
_BINS = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened.

    Attributes:
        count: How often.
        total: Of how many; a rate of none is NaN.
        low: Lower end of the 95 % interval (Wilson's).
        high: Its upper end.
    """

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The rate."""
        return self.count / self.total if self.total else math.nan


def rate(happened: Sequence[bool]) -> Rate:
    """The rate of what happened, with Wilson's interval."""
    count, total = sum(happened), len(happened)
    if not total:
        return Rate(0, 0, 0.0, 1.0)
    share, spread = count / total, _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Rate(count, total, max(0.0, middle - half), min(1.0, middle + half))


def slope_within(groups: Sequence[str], values: Sequence[float], scores: Sequence[float]) -> float | None:
    """The least-squares slope of scores on values, each taken from the mean of its group.

    Args:
        groups: The group of each.
        values: Such as the logarithm of a length.
        scores: The scores.

    Returns:
        The slope; None where no group holds two different values.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(groups):
        members.setdefault(name, []).append(place)
    together = apart = 0.0
    for places in members.values():
        value = sum(values[place] for place in places) / len(places)
        score = sum(scores[place] for place in places) / len(places)
        together += sum((values[place] - value) * (scores[place] - score) for place in places)
        apart += sum((values[place] - value) ** 2 for place in places)
    return together / apart if apart > 1e-12 else None


def kappa(first: Sequence[bool], second: Sequence[bool]) -> float | None:
    """Cohen's kappa of two judges; None where chance alone makes them agree always."""
    total = len(first)
    if not total:
        return None
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / total
    yes, also = sum(first) / total, sum(second) / total
    chance = yes * also + (1 - yes) * (1 - also)
    return (observed - chance) / (1 - chance) if chance < 1 else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores beside labels.

    Attributes:
        items: How many.
        accuracy: Share of scores on the label's side of one half.
        brier: Mean squared difference.
        error: Expected calibration error, over ten bins of equal width.
        right_yes: How often a right response gets one half or more.
        wrong_yes: How often a wrong one does.
        bins: Mean score, share that is right, and number, of each bin that holds any.
    """

    items: int
    accuracy: float
    brier: float
    error: float
    right_yes: Rate
    wrong_yes: Rate
    bins: tuple[tuple[float, float, int], ...]


def calibration(scores: Sequence[float], labels: Sequence[float]) -> Calibration | None:
    """Hold scores beside labels between 0 and 1; None without any."""
    if not scores:
        return None
    pairs = list(zip(scores, labels, strict=True))
    bins = []
    for number in range(_BINS):
        bin_pairs = [(score, label) for score, label in pairs if min(_BINS - 1, int(score * _BINS)) == number]
        if bin_pairs:
            count = len(bin_pairs)
            bins.append(
                (sum(score for score, _ in bin_pairs) / count, sum(label for _, label in bin_pairs) / count, count)
            )
    return Calibration(
        len(pairs),
        sum((score >= 0.5) == (label >= 0.5) for score, label in pairs) / len(pairs),
        sum((score - label) ** 2 for score, label in pairs) / len(pairs),
        sum(abs(mean - right) * count for mean, right, count in bins) / len(pairs),
        rate([score >= 0.5 for score, label in pairs if label >= 0.5]),
        rate([score >= 0.5 for score, label in pairs if label < 0.5]),
        tuple(bins),
    )
