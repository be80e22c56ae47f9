"""Verifiers that cost nothing, or a known amount, so that what a benchmark measures is the server."""

from __future__ import annotations

import time

from reward_servers import Cost, Rollout, verifier


@verifier("bench/inline", version="1", cost=Cost.TRIVIAL, score_range=(0, 1e9))
async def inline(rollout: Rollout) -> float:
    """The length of the response, on the loop."""
    return float(len(rollout.response))


@verifier("bench/pooled", version="1", score_range=(0, 1e9))
def pooled(rollout: Rollout) -> float:
    """The length of the response, in a worker process."""
    return float(len(rollout.response))


def _compute(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


@verifier("bench/light", version="1", score_range=(0, 1e9))
def light(rollout: Rollout) -> float:
    """The length of the response after a tenth of a millisecond of computing: enough to be worth caching."""
    _compute(0.0001)
    return float(len(rollout.response))


@verifier("bench/busy", version="1", score_range=(0, 1e9))
def busy(rollout: Rollout) -> float:
    """The length of the response after a millisecond of computing."""
    _compute(0.001)
    return float(len(rollout.response))
