"""A verifier on the loop whose items wait at a gate, and say in which order they were begun."""

from __future__ import annotations

import asyncio

from reward_servers import ItemLimits, Rollout, verifier

PLACES = 8
"""Items that run at once."""
BEGUN: list[str] = []
GATES: list[asyncio.Event] = []
"""The gate of the present test, last."""


@verifier("test/gated", version="1", limits=ItemLimits(wall_s=600.0), concurrency=PLACES, deterministic=False)
async def gated(rollout: Rollout) -> float:
    """Wait until the gate opens."""
    BEGUN.append(rollout.response)
    await GATES[-1].wait()
    return 1.0
