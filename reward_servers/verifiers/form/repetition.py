"""Responses that repeat themselves."""

from __future__ import annotations

from pydantic import Field

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.published import repeats
from reward_servers.engines.similarity import words


class RepetitionOptions(Options):
    """What counts as repeated."""

    ngram: int = Field(4, ge=1, le=32, description="Words of what is compared.")
    loop_characters: int = Field(
        32, ge=1, description="Least length of a passage that is a loop when it follows itself."
    )
    loop_times: int = Field(8, ge=2, description="Times in a row that make it a loop.")


@verifier("repetition", version="1", limits=ItemLimits(response=1 << 19), aspects={"distinct": 0.0, "loop": 0.0})
def repetition(rollout: Rollout, options: RepetitionOptions) -> Score:
    """Share of a response's n-grams that are new, reasoning included; 0 for a passage that loops.

    Source: the repetition penalty of arXiv 2502.03373 is this share less one; the loop is that of Cobalt.
    """
    text = rollout.response
    found = words(text)
    if not found:
        return Score.floor("no_answer", "there are no words")
    count = max(1, len(found) - options.ngram + 1)
    distinct = len({tuple(found[place : place + options.ngram]) for place in range(count)}) / count
    loop = repeats(text, shortest=options.loop_characters, times=options.loop_times)
    aspects = {"distinct": distinct, "loop": float(loop)}
    return Score(0.0, "loop", aspects=aspects) if loop else Score(distinct, aspects=aspects)
