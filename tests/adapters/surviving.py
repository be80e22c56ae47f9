"""What a verifier that is down for a third says, computed here, and advantages of the surviving rows alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HOSTED = '["exact", "length", "agreement", "test/outage", "test/slow"]'

KEYS = {"valid", "score/main", "valid/main", "aspect/main.half", "valid/main.half"}
"""What `test/outage` gives a trainer's logs, the same for every sample; `half` is half of the score."""


def drawn(prompt: str, response: str) -> float | None:
    """What the verifier `test/outage` gives; None where it is down."""
    number = zlib.crc32(f"{prompt}|{response}".encode())
    return None if number % 3 == 0 else number % 101 / 100


def recipe(rewards: str = '[rewards.main]\nverifier = "test/outage"\n', head: str = "max_missing = 1.0") -> str:
    """A recipe over the server of the tests."""
    return f'name = "tests"\n{head}\n[servers.all]\nverifiers = {HOSTED}\n{rewards}'


def normalised(rewards: Sequence[float | None], eps: float, ddof: int = 1) -> NDArray[np.float64]:
    """GRPO's advantages of the rows of one group that have a reward, as if the others had never been; 0 for those."""
    kept = np.array([reward for reward in rewards if reward is not None])
    made = np.zeros(len(rewards))
    if len(kept) > 1:
        made[[reward is not None for reward in rewards]] = (kept - kept.mean()) / (kept.std(ddof=ddof) + eps)
    return made
