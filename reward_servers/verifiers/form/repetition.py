"""Responses that repeat themselves."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pydantic import Field

from reward_servers import CallerError, ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.published import repeats
from reward_servers.engines.similarity import words
from reward_servers.verifiers._turn import Unit
from trainer_client.signals.shaping.hapo import repetition_penalty


class RepetitionOptions(Options):
    """Which repetitions count."""

    ngram: int = Field(4, ge=1, le=32, description="Words, or tokens, of what is compared.")
    unit: Unit = Field("words", description="What an n-gram is made of; 'tokens': the caller's token_ids.")
    loop_characters: int = Field(
        32, ge=1, description="Least length of a passage that is a loop when it follows itself."
    )
    loop_times: int = Field(8, ge=2, description="Times in a row that make it a loop.")


@verifier(
    "repetition",
    version="2",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"distinct": 0.0, "repeated": 0.0, "loop": 0.0},
)
def repetition(rollout: Rollout, options: RepetitionOptions) -> Score:
    """Share of a response's n-grams that are new, reasoning included; 0 for a passage that loops.

    Sources: the repetition penalty of arXiv 2502.03373 is this share less one; the loop is that of Cobalt. The aspect
    `repeated` is the share of words or tokens within an n-gram that stood before: with a negative weight, the penalty
    of HAPO (HCY123902/HAPO utils.py @c91ae3b6, with n-grams of three tokens).
    """
    text = rollout.response
    units = _units(rollout, options.unit)
    if not units:
        return Score.floor("no_answer", f"there are no {options.unit}")
    count = max(1, len(units) - options.ngram + 1)
    distinct = len({tuple(units[place : place + options.ngram]) for place in range(count)}) / count
    repeated = -repetition_penalty(units, ngram=options.ngram)
    loop = repeats(text, shortest=options.loop_characters, times=options.loop_times)
    aspects = {"distinct": distinct, "repeated": repeated, "loop": float(loop)}
    return Score(0.0, "loop", aspects=aspects) if loop else Score(distinct, aspects=aspects)


def _units(rollout: Rollout, unit: Unit) -> Sequence[Hashable]:
    """The words or tokens of a response; none where it has no word.

    Raises:
        CallerError: Tokens are to be compared and none were sent.
    """
    units = words(rollout.response)
    if unit == "words" or not units:
        return units
    if not rollout.token_ids:
        raise CallerError("unit 'tokens' compares the rollout's token_ids; send them", code="missing_token_ids")
    return rollout.token_ids
