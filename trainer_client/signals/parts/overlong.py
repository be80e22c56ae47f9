"""Penalties for answers that run into the generation limit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats
from trainer_client.signals._errors import OptionError

Beyond = Literal["floor", "falling"]


def overlong_penalty(
    lengths: ArrayLike, *, max_length: int, cache: int, factor: float = 1.0, beyond: Beyond = "floor"
) -> FloatArray:
    """DAPO's soft punishment, to be added to the reward.

    0 up to ``max_length - cache``, then falling linearly to ``-factor`` at ``max_length``.

    Args:
        lengths: ``[N]`` generated tokens.
        max_length: where the punishment is full.
        cache: how many tokens before it starts; 0 makes it a step.
        factor: size of the full punishment.
        beyond: past ``max_length`` it stays at ``-factor`` (``floor``: the paper, TRL, OpenRLHF) or keeps
            ``falling`` (verl).

    Returns:
        ``[N]``, at most 0.

    Raises:
        OptionError: ``cache`` is not within ``[0, max_length]``, or 0 with ``beyond="falling"``.
    """
    if not 0 <= cache <= max_length:
        raise OptionError(f"cache: {cache} must lie between 0 and max_length = {max_length}")
    if cache == 0 and beyond == "falling":
        raise OptionError("cache: 0 leaves no slope to fall along; choose beyond='floor' for a step")
    excess = as_floats("lengths", lengths) - (max_length - cache)
    if cache == 0:
        return np.where(excess > 0, -factor, 0.0)
    reached = np.maximum(excess, 0.0) / cache
    return -factor * (np.minimum(reached, 1.0) if beyond == "floor" else reached)
