"""A verifier that writes down each item it judges, so that work done twice can be counted."""

from __future__ import annotations

import hashlib
import os
import time

from reward_servers import Rollout, verifier

LOG = "ASSAY_CHAOS_LOG"
"""Environment variable with the file to write to."""


def score_of(response: str) -> float:
    """A score that follows from the response alone."""
    return int.from_bytes(hashlib.sha256(response.encode()).digest()[:4], "big") / 2**32


@verifier("chaos/counted", version="1")
def counted(rollout: Rollout) -> float:
    """A hash of the response as a score, after a millisecond of work."""
    with open(os.environ[LOG], "a") as file:
        file.write(f"{rollout.rollout_id}\n")
    ends = time.process_time() + 0.001
    while time.process_time() < ends:
        pass
    return score_of(str(rollout.response))
