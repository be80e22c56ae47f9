"""A judge that takes its time, as judges do."""

from __future__ import annotations

import asyncio
from random import Random

from examples.trl.verifiers import Letters
from reward_servers import Context, Rollout, verifier


@verifier("example/slow_letters", version="1")
async def slow_letters(rollout: Rollout, ref: Letters, ctx: Context) -> float:
    """The share of the letters that are right, after 50 to 400 ms, and for one rollout in 200 after 2 s."""
    draw = Random(ctx.seed)  # noqa: S311 - no secret
    await asyncio.sleep(2.0 if draw.random() < 0.005 else draw.uniform(0.05, 0.4))
    letters, right = rollout.response.split(), ref.answer.split()
    return sum(letter == right_letter for letter, right_letter in zip(letters, right, strict=False)) / len(right)
