"""A verifier that writes down each item it judges, so that work done twice can be counted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mmap
import os
import time

from reward_servers import Rollout, verifier

LOG = "ASSAY_CHAOS_LOG"
"""Environment variable with the file to write to."""
_MEGABYTE = 1 << 20


def score_of(response: str) -> float:
    """A score that follows from the response alone."""
    return int.from_bytes(hashlib.sha256(response.encode()).digest()[:4], "big") / 2**32


@verifier("chaos/counted", version="1")
def counted(rollout: Rollout) -> float:
    """A hash of the response as a score, after a millisecond of work that needs a megabyte."""
    # From the kernel each time: memory that was freed before is counted where it was first used.
    with mmap.mmap(-1, _MEGABYTE) as used:
        used.write(bytes(_MEGABYTE))
    with open(os.environ[LOG], "a") as file:
        file.write(f"{rollout.rollout_id}\n")
    ends = time.process_time() + 0.001
    while time.process_time() < ends:
        pass
    return score_of(str(rollout.response))


@verifier("chaos/unruly", version="1")
async def unruly(rollout: Rollout) -> float:
    """Do on the server's own loop what no verifier should: the response says what."""
    if rollout.response == "holds the loop":
        time.sleep(0.5)  # noqa: ASYNC251
    elif rollout.response == "never ends":
        await asyncio.Event().wait()
    elif rollout.response == "swallows its end":
        for _ in range(20):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.2)
    elif rollout.response == "cancels itself":
        raise asyncio.CancelledError
    elif rollout.response == "says nothing useful":
        return "good"  # type: ignore[return-value]
    return 0.5
