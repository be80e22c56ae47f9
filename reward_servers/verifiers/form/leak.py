"""Hints and explanations that must not give the answer away (HiLL)."""

from __future__ import annotations

from pydantic import Field

from reward_servers import CallerError, Cost, ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.published import leaks_answer
from reward_servers.verifiers._answers import TextReference

_LONGEST = 1 << 19


class LeakOptions(Options):
    """Where the hint is."""

    key: str = Field(
        "",
        description="Key of the metadata whose text is the hint that a response was written with; empty where the "
        "response is the hint.",
    )


# On the loop: a search in at most half a megabyte.
@verifier("leak", version="2", cost=Cost.TRIVIAL, limits=ItemLimits(response_bytes=1 << 19))
async def leak(rollout: Rollout, ref: TextReference, options: LeakOptions) -> Score:
    """Whether a hint keeps the answer to itself: 0 where it contains an accepted answer, in its reasoning as well.

    Source: HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
    """
    hint = _hint(rollout, options.key)
    if not hint.strip():
        return Score.floor("no_answer", "there is no hint")
    leaked = [answer for answer in ref.answers if leaks_answer(hint, answer)]
    if leaked:
        return Score(0.0, "leaked", evidence={"leaked": leaked})
    return Score(1.0)


def _hint(rollout: Rollout, key: str) -> str:
    """The hint: the response, or a text of the metadata.

    Raises:
        CallerError: The metadata holds something else there, or too much.
    """
    if not key:
        return rollout.response
    hint = rollout.metadata.get(key, "")
    if not isinstance(hint, str) or len(hint) > _LONGEST:
        raise CallerError(f"metadata.{key}: expected a text of at most {_LONGEST} characters", code="invalid_metadata")
    return hint
