"""A verifier whose failures are asked for by the response."""

import asyncio

from reward_servers import Rollout, ServiceError, verifier


@verifier("test/frail", version="1")
class Frail:
    """Whether the response is `good`; `down` breaks it, `slow` keeps it waiting."""

    async def score(self, rollout: Rollout) -> bool:
        """Judge."""
        if rollout.response == "down":
            raise ServiceError("the judge is gone", code="judge_unavailable", retryable=False)
        if rollout.response == "slow":
            await asyncio.sleep(5)
        return rollout.response == "good"
