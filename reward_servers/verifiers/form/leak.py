"""Hints and explanations that must not give the answer away (HiLL)."""

from __future__ import annotations

from reward_servers import Cost, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.published import leaks_answer
from reward_servers.verifiers._answers import TextReference


# On the loop: a search in at most half a megabyte.
@verifier("leak", version="1", cost=Cost.TRIVIAL, limits=ItemLimits(response=1 << 19))
async def leak(rollout: Rollout, ref: TextReference) -> Score:
    """Whether a hint keeps the answer to itself: 0 where it contains an accepted answer, in its reasoning as well.

    Source: HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
    """
    if not rollout.response.strip():
        return Score.floor("no_answer", "there is no hint")
    leaked = [answer for answer in ref.answers if leaks_answer(rollout.response, answer)]
    if leaked:
        return Score(0.0, "leaked", evidence={"leaked": leaked})
    return Score(1.0)
