"""Rewards from length alone, for training without labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats
from trainer_client.signals._errors import BadOption


def length_surrogate(lengths: ArrayLike, *, max_length: int = 3072, peak: float = 0.5) -> FloatArray:
    """``[N]`` reward that rises to 1 at ``peak * max_length`` and falls to -1 at ``max_length``.

    With ``x = length / max_length``: ``1 - (1 - x / peak)^2`` up to the peak, ``1 - 2 * ((x - peak) / (1 - peak))^2``
    after it. It keeps falling beyond ``max_length``.

    Raises:
        BadOption: ``peak`` is not strictly between 0 and 1, or ``max_length`` is not positive.

    Source: insightLLM/rl-without-gt rl/verl/lib/src/rewards/math_reward.py @c1e2077c.
    """
    if not 0 < peak < 1:
        raise BadOption(f"peak: {peak} must lie strictly between 0 and 1")
    if max_length <= 0:
        raise BadOption(f"max_length: {max_length} tokens; it must be positive")
    share = as_floats("lengths", lengths) / max_length
    rising = 1.0 - (1.0 - share / peak) ** 2
    falling = 1.0 - 2.0 * ((share - peak) / (1.0 - peak)) ** 2
    return np.where(share <= peak, rising, falling)
