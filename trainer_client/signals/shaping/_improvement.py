"""Rewards of a turn that may improve on earlier turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats, require_finite
from trainer_client.signals._errors import BadInput


def improvement_reward(pass_rates: ArrayLike, previous_best: ArrayLike, *, weight: float = 0.1) -> FloatArray:
    """``[N]`` Cobalt's reward of one turn from the share of tests that pass.

    All tests: 1; half or more: 0.2; some: 0; none: -0.1. Where an earlier turn passed some tests and this one does
    not pass all: ``weight * (p - b) / (1 - b)`` is added if ``p > b``, else the reward is
    ``-0.1 + weight * (p - b) / b``.

    Args:
        pass_rates: ``[N]`` in [0, 1].
        previous_best: ``[N]`` best rate of the earlier turns; 0 for the first.
        weight: size of the term.

    Raises:
        BadInput: a rate lies outside [0, 1].

    Source: OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed.
    """
    rate, best = as_floats("pass_rates", pass_rates), as_floats("previous_best", previous_best)
    for name, array in (("pass_rates", rate), ("previous_best", best)):
        require_finite(name, array)
        outside = np.flatnonzero((array < 0) | (array > 1))
        if outside.size:
            raise BadInput(f"{name}: row {outside[0]} holds {array[outside[0]]}; a share of tests lies in [0, 1]")
    base = np.select([rate >= 1, rate >= 0.5, rate > 0], [1.0, 0.2, 0.0], -0.1)
    gap = rate - best
    better = base + weight * gap / np.where(best < 1, 1.0 - best, 1.0)
    worse = -0.1 + weight * gap / np.where(best > 0, best, 1.0)
    return np.where((rate < 1) & (best > 0), np.where(gap > 0, better, worse), base)
