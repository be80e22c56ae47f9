"""Verifiers of answers about books."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field, field_validator

from reward_servers import Context, Group, Options, Reference, Rollout, Score, verifier
from reward_servers.engines import text

_ISBN = re.compile(r"(?<![\w-])(?:97[89][- ]?)?(?:\d[- ]?){9}[\dXx](?![\w-])")


class Book(Reference):
    """The right book."""

    answer: str = Field(description="Its ISBN, with 10 or 13 digits; hyphens and blanks make no difference.")

    @field_validator("answer")
    @classmethod
    def _check(cls, value: str) -> str:
        if digits_of(value) is None:
            raise ValueError(f"{value!r} is no ISBN: its length or its last digit is wrong")
        return value


class IsbnOptions(Options):
    """Which form is asked for."""

    long_form: bool = Field(False, description="Whether only the form of 13 digits will do.")


@verifier("acme/isbn", version="1", aspects={"named": 0.0})
def isbn(rollout: Rollout, ref: Book, options: IsbnOptions) -> Score:
    """Whether the last ISBN that a response names is the right one."""
    numbers = _ISBN.findall(text.visible(rollout.response, rollout.reasoning_marks).text)
    if not numbers:
        return Score.floor("no_answer", "there is no ISBN")
    digits = digits_of(numbers[-1])
    short = options.long_form and len(re.sub(r"[- ]", "", numbers[-1])) == 10
    right = digits == digits_of(ref.answer) and not short
    return Score(float(right), aspects={"named": float(len(numbers))}, evidence={"extracted": numbers[-1]})


@verifier("acme/brief", version="1", scope="group")
async def brief(group: Group, ctx: Context) -> Sequence[Score]:
    """How short a response is beside the shortest right one of its group; a wrong one gets 0."""
    right = [(await ctx.score("acme/isbn", rollout)).score == 1.0 for rollout in group]
    lengths = [len(rollout.response) for rollout in group]
    shortest = min((length for length, good in zip(lengths, right, strict=True) if good), default=0)
    return [Score(shortest / length if good else 0.0) for length, good in zip(lengths, right, strict=True)]


def digits_of(number: str) -> str | None:
    """The 12 digits that two forms of an ISBN share; None where the last digit does not fit the others."""
    bare = re.sub(r"[- ]", "", number).upper()
    if re.fullmatch(r"[0-9]{9}[0-9X]", bare):
        total = sum((10 - place) * (10 if sign == "X" else int(sign)) for place, sign in enumerate(bare))
        return f"978{bare[:9]}" if total % 11 == 0 else None
    if re.fullmatch(r"97[89][0-9]{10}", bare):
        total = sum((3 if place % 2 else 1) * int(sign) for place, sign in enumerate(bare))
        return bare[:12] if total % 10 == 0 else None
    return None
