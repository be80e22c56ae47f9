"""Policies against each other, against their reference, and against themselves under noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


class Estimate(NamedTuple):
    """A mean and how sure it is.

    Attributes:
        mean: None without a case.
        error: standard error; None below two cases.
        number: cases.
    """

    mean: float | None
    error: float | None
    number: int


def mean_or_none(values: FloatArray) -> float | None:
    """The mean; None of nothing."""
    return float(np.mean(values)) if np.size(values) else None


def implicit_accuracy(chosen: FloatArray, rejected: FloatArray) -> Estimate:
    """Share of held-out pairs that the policy's log-ratio to its reference orders as labelled; a tie counts a half."""
    return _estimate(np.where(chosen == rejected, 0.5, (chosen > rejected).astype(np.float64)))


def win_rate(outcomes: FloatArray) -> Estimate:
    """Mean outcome of comparisons: 1 won, 0.5 tie, 0 lost."""
    return _estimate(np.asarray(outcomes, dtype=np.float64))


def alignment_gap(
    accuracies: Sequence[float], win_rates: Sequence[float], divergences: Sequence[float]
) -> dict[str, object]:
    """Whether better discrimination goes with worse generation over a run's checkpoints.

    Args:
        accuracies: `implicit_accuracy` at each checkpoint.
        win_rates: against a fixed opponent, by a gold judge.
        divergences: KL to the reference, in sums over sequences; the curve is over its root.

    Returns:
        ``curve`` of (root of KL, win rate) by growing KL, the checkpoint of the ``peak`` win rate, and whether accuracy
        rose from the first to the last checkpoint while the win rate fell (``diverging``; None below two).

    Source: Understanding the performance gap between online and offline alignment algorithms (arXiv 2405.08448).
    """
    order = np.argsort(np.asarray(divergences), kind="stable").tolist()
    curve = [(float(max(divergences[k], 0.0)) ** 0.5, float(win_rates[k])) for k in order]
    several = len(accuracies) > 1
    diverging = accuracies[-1] > accuracies[0] and win_rates[-1] < win_rates[0] if several else None
    return {"curve": curve, "peak": int(np.argmax(win_rates)) if len(win_rates) else None, "diverging": diverging}


def coverage_report(online: FloatArray, offline: FloatArray) -> dict[str, float | None]:
    """How far fresh samples leave what the preference data covers.

    Args:
        online: ``[N]`` log-ratio of policy to reference of fresh samples, summed over tokens.
        offline: ``[M]`` of the answers in the preference data.

    Returns:
        ``outside``, the share of fresh samples above the largest offline log-ratio (None without either), and
        ``largest_log_ratio`` of the fresh ones. The ratio itself overflows; its logarithm is what is compared.

    Source: HyPO (arXiv 2406.01462); the report is ours.
    """
    outside = float((online > offline.max()).mean()) if online.size and offline.size else None
    return {"outside": outside, "largest_log_ratio": float(online.max()) if online.size else None}


def robustness(rewards: FloatArray, noisy: BoolArray, groups: Groups) -> dict[str, float | int | None]:
    """Mean reward on perturbed prompts less that on clean ones, by family of prompts that have both.

    Returns:
        ``gap``, its mean over ``families``, and ``worst``, its lowest.

    Source: CoIPO, evaluation part.
    """
    clean, dirty = groups.sum(~noisy), groups.sum(noisy)
    both = (clean > 0) & (dirty > 0)
    shaken = groups.sum(np.where(noisy, rewards, 0.0)) / np.maximum(dirty, 1)
    plain = groups.sum(np.where(noisy, 0.0, rewards)) / np.maximum(clean, 1)
    gap = (shaken - plain)[both]
    return {"gap": mean_or_none(gap), "worst": float(gap.min()) if gap.size else None, "families": int(both.sum())}


def _estimate(values: FloatArray) -> Estimate:
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else None
    return Estimate(mean_or_none(values), error, int(values.size))
