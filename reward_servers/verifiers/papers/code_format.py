"""The form of a reply that thinks and then writes one block of code (Cobalt)."""

from __future__ import annotations

from pydantic import Field

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines import published
from reward_servers.engines.text import visible
from reward_servers.verifiers._turn import MALFORMED, UNIT, Unit, form_of

_FLOOR = {"right": MALFORMED, "wrong": MALFORMED, "answered": 0.0}


class CodeFormatOptions(Options):
    """How the length of a part is counted."""

    unit: Unit = Field("words", description=UNIT)


@verifier("code_format", version="3", limits=ItemLimits(response_bytes=1 << 19), aspects=_FLOOR)
def code_format(rollout: Rollout, options: CodeFormatOptions) -> Score:
    """Whether a reply is thinking, `</think>` and one block of Python, as Cobalt rewards it.

    `code` runs the block, and has these terms as an option. The aspects `right` and `wrong` are what the form adds to a
    reward that is at least 0, or below: the input `format_terms` of the method `cobalt`; `answered` is its input of
    that name, and says whether a block is visible. Source: OSU-NLP-Group/cobalt verl/code_reward_func_think.py
    @18ce6aed.
    """
    terms = form_of(rollout, options.unit)
    has_code = published.code_block(visible(rollout.response, rollout.reasoning_marks).text) is not None
    well_formed = terms.right > MALFORMED
    aspects = {"right": terms.right, "wrong": terms.wrong, "answered": float(has_code)}
    return Score(float(well_formed), "accepted" if well_formed else "malformed", aspects=aspects)
