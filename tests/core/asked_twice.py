"""Verifiers that are asked the same more than once. None of them looks at what rollouts are called."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from reward_servers import Context, Cost, Item, ItemLimits, Options, Rollout, Score, verifier

CALLS: list[str] = []
_NUMBERS = itertools.count()


class Marks(Options):
    """How many marks a right answer gets."""

    marks: float = 1.0


@verifier("test/counted", version="1", cost=Cost.NETWORK)
async def counted(rollout: Rollout) -> float:
    """Count its calls; wait a little, so that equal items meet in flight."""
    CALLS.append(rollout.response)
    await asyncio.sleep(0.05)
    return float(len(rollout.response) % 2)


@verifier("test/draws", version="1", cost=Cost.NETWORK, deterministic=False, score_range=(0, 1e9))
async def draws(rollout: Rollout, options: Marks) -> Score:
    """Another score each time."""
    return Score(float(next(_NUMBERS)), evidence={"text": rollout.response})


@verifier("test/asks_one_there", version="1", cost=Cost.NETWORK)
async def asks_one_there(rollout: Rollout, context: Context) -> float:
    """Say what a verifier on another server says."""
    return (await context.score("test/there", rollout)).score


@verifier("test/asks_one_that_asks", version="1", cost=Cost.NETWORK)
async def asks_one_that_asks(rollout: Rollout, context: Context) -> float:
    """Say what a verifier here says, which asks one on another server."""
    return (await context.score("test/asks_one_there", rollout)).score


@verifier("test/asks_one_here", version="1", cost=Cost.NETWORK)
async def asks_one_here(rollout: Rollout, context: Context) -> float:
    """Say what a verifier here says."""
    return (await context.score("test/counted", rollout)).score


@verifier("test/held", version="1", max_batch=1, limits=ItemLimits(wall_s=600.0))
class Held:
    """A device that is busy until a file is there, where the response names one."""

    def score_batch(self, items: Sequence[Item]) -> Sequence[float]:
        """Wait for the file."""
        for item in items:
            file = item.rollout.response.partition(" ")[2]
            while file and not Path(file).exists():
                time.sleep(0.01)
        return [1.0] * len(items)
