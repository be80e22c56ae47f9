"""Understanding the performance gap between online and offline alignment algorithms.

Understanding the performance gap between online and offline alignment (arXiv 2405.08448), abstract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    labelled,
    register,
)
from trainer_client.signals.parts.pairs import labelled_pairs
from trainer_client.signals.parts.report import mean_or_none

PAPER = Paper("alignment-gap", __doc__, provenance="abstract")


@register(
    "alignment_gap",
    paper=PAPER,
    needs="batch",
    inputs=("preferred", "groups", "logprobs", "ref_logprobs", "lengths|mask"),
    optional=("comparisons",),
    formula="accuracy of log pi / pi_ref on labelled pairs beside the win rate of what the policy writes",
    laws=Laws(prepare=labelled),
)
def alignment_gap_report(batch: SignalBatch) -> Signal:
    """How well a policy tells answers apart, beside how well it answers.

    Groups are held-out pairs, of which ``preferred`` is the better row. ``comparisons`` hold what the policy's own
    answers won against an opponent, by a gold judge. `alignment_gap` reads a run's figures for the point
    where accuracy rises and win rate falls.
    """
    inside = batch.mask & batch.valid[:, None]
    ratios: FloatArray = np.where(inside, batch["logprobs"] - batch["ref_logprobs"], 0.0).sum(1)
    chosen, rejected = labelled_pairs(batch["preferred"], batch.groups, batch.valid)
    accuracy = implicit_accuracy(ratios[chosen], ratios[rejected])
    rows = zip(batch.objects("comparisons"), batch.valid, strict=True) if "comparisons" in batch else ()
    rate = win_rate(np.array([outcome for row, live in rows if live for outcome in row], dtype=np.float64))
    valid_ratios = ratios[batch.valid]
    return batch.signal(
        report={
            "alignment/accuracy": accuracy.mean,
            "alignment/accuracy_error": accuracy.error,
            "alignment/win_rate": rate.mean,
            "alignment/win_rate_error": rate.error,
            "alignment/log_ratio": mean_or_none(valid_ratios),
        }
    )


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
    is_plural = len(accuracies) > 1
    diverging = accuracies[-1] > accuracies[0] and win_rates[-1] < win_rates[0] if is_plural else None
    return {"curve": curve, "peak": int(np.argmax(win_rates)) if len(win_rates) else None, "diverging": diverging}


def _estimate(values: FloatArray) -> Estimate:
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else None
    return Estimate(mean_or_none(values), error, int(values.size))
