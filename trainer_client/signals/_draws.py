"""Random numbers by counter: the same row of the same step draws the same number, however often it is asked."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._groups import Groups


def uniforms(groups: Groups, *, seed: int, step: int | None, stream: str) -> FloatArray:
    """``[N]`` numbers in [0, 1) made of the seed, the step, the group's id and the row's place within the group.

    A retried step draws the same numbers, and no other group's rows change them.

    Args:
        groups: partition of all rows of the batch, those without a reward included.
        seed: of the run.
        step: of the optimiser; None counts as 0.
        stream: name of the purpose, so that two methods do not share their numbers.
    """
    start = np.array([_digest(f"{seed}/{step or 0}/{stream}")], np.uint64)
    labels = np.array([_digest(repr(label)) for label in groups.labels.tolist()], np.uint64)
    keys = groups.spread(_mix(labels + start)) + groups.position.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mix(keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014), which spreads each bit over all others."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
