"""Whether a regular expression occurs in a response."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.text import visible


class PatternOptions(Options):
    """The pattern, and how it is searched."""

    pattern: str = Field(min_length=1, max_length=2000, description="A regular expression, as Python reads it.")
    ignore_case: bool = Field(False, description="Whether capital and small letters are the same.")
    whole: bool = Field(False, description="Whether it must be the whole response, but for white space around it.")
    absent: bool = Field(False, description="Whether it must not occur.")

    @field_validator("pattern")
    @classmethod
    def _check(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{error}; write a regular expression as Python reads it") from None
        return value


# In a worker process: a pattern may take exponential time on what a candidate writes.
@verifier("pattern", version="1", limits=ItemLimits(response_bytes=1 << 20))
def pattern(rollout: Rollout, options: PatternOptions) -> Score:
    """Whether a regular expression occurs in the visible response, or does not.

    Source: regular expressions as Python's standard library reads them (module `re`).
    """
    text = visible(rollout.response, rollout.reasoning_marks).text.strip()
    if not text:
        return Score.floor("no_answer", "nothing is visible")
    compiled = re.compile(options.pattern, re.IGNORECASE if options.ignore_case else 0)
    match = compiled.fullmatch(text) if options.whole else compiled.search(text)
    evidence = {"found": match[0][:200]} if match is not None else {}
    return Score(float((match is None) == options.absent), evidence=evidence)
