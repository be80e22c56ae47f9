"""What a preference model gets right: accuracy, calibration and biases, from the scores of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_BANDS = 4
_BINS = 10
_LEAST_TO_FIT = 20


@dataclass(frozen=True, slots=True)
class Band:
    """Pairs whose scores lie about equally far apart.

    Attributes:
        low: Least distance.
        high: Greatest distance.
        pairs: How many.
        accuracy: Share of them in which the chosen response scores more.
        confidence: Mean probability ``sigma(distance)`` that the model gives its own choice.
    """

    low: float
    high: float
    pairs: int
    accuracy: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of which the model is about equally sure: a point of the calibration curve.

    Attributes:
        said: Mean probability that the model gives its own choices.
        happened: Share of these that are right.
        pairs: How many.
    """

    said: float
    happened: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the scores of held-out pairs show.

    Attributes:
        pairs: How many.
        accuracy: Share in which the chosen response scores more; a tie counts half.
        interval: 95 % interval of the accuracy (Wilson).
        ties: Pairs with equal scores.
        mean: Mean of all scores.
        std: Deviation of all scores.
        temperature: The distances divided by it are calibrated best (least negative log-likelihood, of labels that are
            smoothed as by Platt, so that it is not 0 where every pair is right).
        calibration_error: Mean distance of confidence and accuracy over equally large bins, as the model is.
        accuracy_when_chosen_is_longer: And its counterpart below; apart, the model prefers length.
        accuracy_when_chosen_is_shorter: None when there is no such pair, likewise above.
        length_correlation: Of the distance of scores with the distance of lengths in tokens.
        bands: Quarters of the pairs, by the distance of their scores.
        calibration_error_after: The error that is left when distances are divided by a temperature, which is fitted on
            the other half of the pairs; None for fewer than 20.
        accuracy_when_chosen_is_first: Of a model that reads two responses together, read in this order alone; None for
            a model that reads each by itself, to which places mean nothing.
        accuracy_when_chosen_is_second: Likewise; apart from the first, the model prefers a place.
        curve: The calibration curve, over ten bins of equally many pairs.
    """

    pairs: int
    accuracy: float
    interval: tuple[float, float]
    ties: int
    mean: float
    std: float
    temperature: float
    calibration_error: float
    accuracy_when_chosen_is_longer: float | None
    accuracy_when_chosen_is_shorter: float | None
    length_correlation: float | None
    bands: list[Band] = field(default_factory=list)
    calibration_error_after: float | None = None
    accuracy_when_chosen_is_first: float | None = None
    accuracy_when_chosen_is_second: float | None = None
    curve: list[Bin] = field(default_factory=list)


def report_on(
    chosen: Sequence[float], rejected: Sequence[float], longer_by: Sequence[int], *, in_places: bool = False
) -> Report:
    """Make a report.

    Args:
        chosen: ``[P]`` raw scores of the chosen responses.
        rejected: ``[P]`` of the rejected ones.
        longer_by: ``[P]`` tokens of the chosen response less those of the rejected one.
        in_places: Whether the scores are those of pairs with the chosen and with the rejected response in the first
            place.

    Returns:
        The report.

    Raises:
        ValueError: There are no pairs.
    """
    if not len(chosen):
        raise ValueError("there are no pairs to report on; hold some out")
    first, second, lengths = np.asarray(chosen, float), np.asarray(rejected, float), np.asarray(longer_by, float)
    gap = first - second
    right = np.where(gap > 0, 1.0, np.where(gap == 0, 0.5, 0.0))
    scores = np.concatenate([first, second])
    varies = gap.std() > 0 and lengths.std() > 0
    return Report(
        pairs=len(gap),
        accuracy=float(right.mean()),
        interval=_wilson(float(right.sum()), len(gap)),
        ties=int((gap == 0).sum()),
        mean=float(scores.mean()),
        std=float(scores.std()),
        temperature=_temperature(gap),
        calibration_error=calibration_error(_confidence(gap), right),
        accuracy_when_chosen_is_longer=_mean(right[lengths > 0]),
        accuracy_when_chosen_is_shorter=_mean(right[lengths < 0]),
        length_correlation=float(np.corrcoef(gap, lengths)[0, 1]) if varies else None,
        bands=_bands(gap, right),
        calibration_error_after=_calibrated(gap, right),
        accuracy_when_chosen_is_first=_mean((first > 0).astype(float)) if in_places else None,
        accuracy_when_chosen_is_second=_mean((second < 0).astype(float)) if in_places else None,
        curve=calibration_curve(_confidence(gap), right),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _wilson(right: float, total: int, z: float = 1.96) -> tuple[float, float]:
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * float(np.sqrt(share * (1 - share) / total + spread / (4 * total)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _confidence(gap: np.ndarray) -> np.ndarray:
    confidence: np.ndarray = 1.0 / (1.0 + np.exp(-np.abs(gap)))
    return confidence


def _temperature(gap: np.ndarray) -> float:
    """The best of a geometric grid: the likelihood has one peak, and more digits would mean nothing.

    Source: Platt, "Probabilistic outputs for support vector machines" (1999), for how far labels are smoothed.
    """
    grid = np.geomspace(0.01, 100.0, 401)
    turned = 1.0 / (len(gap) + 2.0)
    losses = [
        float((np.logaddexp(0.0, -gap / temperature) + turned * gap / temperature).mean()) for temperature in grid
    ]
    return float(grid[int(np.argmin(losses))])


def calibration_error(confidences: np.ndarray, happened: np.ndarray) -> float:
    """Mean distance of ``[N]`` probabilities and what happened, over ten bins of equally many."""
    return sum(
        abs(point.said - point.happened) * point.pairs for point in calibration_curve(confidences, happened)
    ) / len(confidences)


def calibration_curve(confidences: np.ndarray, happened: np.ndarray) -> list[Bin]:
    """``[N]`` probabilities and what happened, over ten bins of equally many, from the least sure on."""
    order = np.argsort(confidences, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    return [Bin(float(confidences[part].mean()), float(happened[part].mean()), len(part)) for part in parts]


def _calibrated(gap: np.ndarray, right: np.ndarray) -> float | None:
    """The error of each half with the temperature of the other."""
    if len(gap) < _LEAST_TO_FIT:
        return None
    halves = [slice(0, None, 2), slice(1, None, 2)]
    errors = [
        calibration_error(_confidence(gap[half] / _temperature(gap[fitted_half])), right[half])
        for half, fitted_half in zip(halves, halves[::-1], strict=True)
    ]
    return sum(errors) / 2


def _bands(gap: np.ndarray, right: np.ndarray) -> list[Band]:
    order = np.argsort(np.abs(gap), kind="stable")
    parts = [part for part in np.array_split(order, _BANDS) if len(part)]
    return [
        Band(
            float(np.abs(gap[part]).min()),
            float(np.abs(gap[part]).max()),
            len(part),
            float(right[part].mean()),
            float(_confidence(gap[part]).mean()),
        )
        for part in parts
    ]
