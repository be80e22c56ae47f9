"""Log-likelihood weights for rollouts that stand beside a reference answer."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


def reference_weights(
    advantages: FloatArray, references: BoolArray, groups: Groups, *, beta: float = 0.5, lam: float = 0.6
) -> FloatArray:
    """``[N]`` factor of each row's length-averaged log-probability in GRAO's objective, for each prompt.

    With ``G`` rollouts and ``R`` references: a rollout gets ``(1 + lam) * A_i / G``, a reference
    ``(beta * A_y - lam * mean(A_i)) / R``. This is the published sum with its terms collected by row; without a
    reference the second term, which compares with it, falls away and ``1 + lam`` stays.

    Args:
        advantages: ``[N]`` of rollouts and references.
        references: ``[N]`` rows that are reference answers.
        groups: partition of the rows.
        beta: weight of imitating the reference.
        lam: weight of moving rollouts against the reference.

    Source: GRAO (arXiv 2508.07750) eq. 2 to 4.
    """
    rollouts = (~references).astype(np.float64)
    number = np.maximum(groups.sum(rollouts), 1.0)
    mean = groups.sum(rollouts * advantages) / number
    every = np.maximum(groups.sum(references), 1.0)
    of_reference = groups.apply(np.divide, groups.apply(np.subtract, beta * advantages, lam * mean), every)
    of_rollout = groups.apply(np.divide, (1.0 + lam) * advantages, number)
    return np.where(references, of_reference, of_rollout)
