"""V0.5: a baseline between the mean of a few rollouts and a prior value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray


class Shrunk(NamedTuple):
    """Baselines of prompts, with their derivation.

    Attributes:
        baseline: ``[Q]`` ``weight * mean + (1 - weight) * prior``.
        weight: ``[Q]`` share of the sample mean; 0 while it agrees with the prior within noise.
        noise: ``[Q]`` variance of the sample mean.
        bias: ``[Q]`` estimated squared error of the prior.
    """

    baseline: FloatArray
    weight: FloatArray
    noise: FloatArray
    bias: FloatArray

    @property
    def error(self) -> FloatArray:
        """``[Q]`` estimated mean squared error of the baseline."""
        total = self.noise + self.bias
        return np.where(self.bias > 0, self.noise * self.bias / np.where(total > 0, total, 1.0), 0.0)


def shrinkage_baseline(mean: FloatArray, prior: FloatArray, counts: IntArray) -> Shrunk:
    """Weigh the mean of ``counts`` success indicators against a prior value, minimising the squared error.

    With ``u`` the smoothed success rate, held within [0.01, 0.99], the mean has variance ``u * (1 - u) / k``. The
    prior's squared error is estimated by what the gap leaves beyond that noise, at least 0, so that agreement within
    noise trusts the prior alone (positive-part James-Stein).

    Args:
        mean: ``[Q]`` mean reward, in [0, 1].
        prior: ``[Q]`` in [0, 1].
        counts: ``[Q]`` rollouts, at least 1.

    Source: V0.5 (arXiv 2603.10848), reconstructed from its abstract.
    """
    rate = np.clip((counts * mean + prior) / (counts + 1), 0.01, 0.99)
    noise = rate * (1.0 - rate) / counts
    bias = np.maximum((mean - prior) ** 2 - noise, 0.0)
    weight = bias / (bias + noise)
    return Shrunk(prior + weight * (mean - prior), weight, noise, bias)
