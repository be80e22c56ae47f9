"""A verifier that is down for a third of what it is asked, by content, and scores the rest by content too."""

import asyncio
import zlib

from reward_servers import Rollout, Score, ServiceError, verifier


@verifier("test/outage", version="1", aspects=("half",))
async def outage(rollout: Rollout) -> Score:
    """A number that follows from prompt and response."""
    drawn = zlib.crc32(f"{rollout.prompt}|{rollout.response}".encode())
    if drawn % 3 == 0:
        raise ServiceError("the judge is gone", code="judge_unavailable", retryable=False)
    score = drawn % 101 / 100
    return Score(score, aspects={"half": score / 2})


@verifier("test/slow", version="1", aspects=("half",))
async def slow(rollout: Rollout) -> Score:
    """The same without outages, after a second."""
    await asyncio.sleep(1.0)
    score = zlib.crc32(f"{rollout.prompt}|{rollout.response}".encode()) % 101 / 100
    return Score(score, aspects={"half": score / 2}, evidence={"read": str(rollout.response)})
