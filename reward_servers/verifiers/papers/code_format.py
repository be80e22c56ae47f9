"""The form of a reply that thinks and then writes one block of code (Cobalt)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from reward_servers import CallerError, ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines import published

_MALFORMED = -0.9


class CodeFormatOptions(Options):
    """How the length of a part is counted."""

    unit: Literal["words", "tokens"] = Field(
        "words", description="'tokens': the caller's token_ids, shared out over the parts by their characters."
    )


def _counter(rollout: Rollout, unit: str) -> Callable[[str], int]:
    if unit == "words":
        return lambda part: len(part.split())
    if not rollout.token_ids and rollout.content:
        raise CallerError("unit 'tokens' counts the rollout's token_ids; send them", code="missing_token_ids")
    each = len(rollout.token_ids) / max(1, len(rollout.response))
    return lambda part: round(len(part) * each)


@verifier("code_format", version="1", limits=ItemLimits(response=1 << 19), aspects=("right", "wrong", "answered"))
def code_format(rollout: Rollout, options: CodeFormatOptions) -> Score:
    """Whether a reply is thinking, `</think>` and one block of Python, as Cobalt rewards it; `code` runs the block.

    The aspects `right` and `wrong` are what the form adds to a reward that is at least 0, or below: the input
    `format_terms` of the method `cobalt`; `answered` is its input of that name. Source: OSU-NLP-Group/cobalt
    verl/code_reward_func_think.py @18ce6aed.
    """
    terms = published.format_terms(rollout.response, _counter(rollout, options.unit))
    answered = published.code_block(rollout.response) is not None
    held = terms.right > _MALFORMED
    aspects = {"right": terms.right, "wrong": terms.wrong, "answered": float(answered)}
    return Score(float(held), "accepted" if held else "malformed", aspects=aspects)
