"""A verifier that waits like a judge: a little for most responses, long for the stragglers."""

from __future__ import annotations

import asyncio

from reward_servers import Rollout, Score, verifier

STRAGGLER = "[this one takes long]"
STRAGGLER_SECONDS = 2.0
USUAL_SECONDS = 0.05


@verifier("bench/judge-like", version="1", concurrency=512)
async def judge_like(rollout: Rollout) -> Score:
    """A score that follows from the text alone, after a wait."""
    text = rollout.response
    await asyncio.sleep(STRAGGLER_SECONDS if STRAGGLER in text else USUAL_SECONDS)
    return Score(len(text) % 101 / 100)
