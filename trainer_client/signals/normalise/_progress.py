"""How much better a step is than those before it, and what its predecessor deserves for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._groups import Groups


class Progress(NamedTuple):
    """Improvement over a window of earlier steps.

    Attributes:
        improvement: the change in units of the window's deviation.
        baseline: mean of the window; the step's own mean where the window is empty.
        deviation: of the window; 1 where it has none to speak of.
    """

    improvement: float
    baseline: float
    deviation: float


def improvement(
    current: float, history: Sequence[float], *, ddof: int = 1, divide: bool = True, floor: float = 1e-6
) -> Progress:
    """Mean reward of a step against a window of means, ``clip(current - mean, -5, 5) / deviation``.

    Args:
        current: mean reward of the step.
        history: means of the window; without any there is no progress.
        ddof: 1 is the sample deviation (the paper), 0 the population one (the release).
        divide: False leaves the change as it is.
        floor: a smaller deviation counts as 1, and so does that of a window of one.

    Source: PIPO; JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py @7f48e231, paper eq. 7 to 11.
    """
    window = np.asarray(history, dtype=np.float64)
    baseline = float(window.mean()) if window.size else current
    deviation = 1.0
    if window.size > 1:
        spread = float(np.sqrt(((window - baseline) ** 2).sum() / (window.size - ddof)))
        deviation = spread if spread >= floor else 1.0
    change = min(max(current - baseline, -5.0), 5.0)
    return Progress(change / deviation if divide else change, baseline, deviation)


def retrospective_advantages(
    advantages: FloatArray, groups: Groups, progress: float, *, bound: float = 10.0, eps: float = 1e-6
) -> FloatArray:
    """``[N]`` credit of earlier rollouts for the progress since: their share of it, within ``bound``.

    The share is ``G * A_i / (sum of |A| over the group + eps)``.

    Args:
        advantages: ``[N]`` that the rollouts had.
        groups: their partition by prompt; ``G`` is a group's own size.
        progress: `Progress.improvement`.
        bound: largest size of the result.
        eps: added to the divisor.
    """
    total = groups.sum(np.abs(advantages)) + eps
    share = groups.apply(np.multiply, advantages, groups.sizes / total)
    return np.clip(share * progress, -bound, bound)
