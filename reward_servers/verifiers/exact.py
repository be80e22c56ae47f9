"""Compares the response, or a named part of it, with the reference's answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import Cost, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.text import Form
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken

_LONGEST = 65_536
_SHOWN = 1_000


class ExactReference(TextReference):
    """One accepted answer, or several; numbers are read as they are written."""


class ExactOptions(AnswerOptions):
    """The part of the response that is compared, and which differences count."""

    case: bool = Field(False, description="Whether upper and lower case differ.")
    whitespace: Literal["keep", "collapse", "remove"] = "collapse"
    punctuation: bool = Field(True, description="Whether punctuation counts.")
    compatibility: bool = Field(False, description="Whether Unicode compatibility characters differ (full-width, ...).")

    @property
    def form(self) -> Form:
        """The form in which texts are compared."""
        return Form(self.case, self.whitespace, self.punctuation, self.compatibility)


# On the loop: a comparison takes microseconds. Inputs that could take longer are bounded before they are read.
@verifier("exact", version="2", cost=Cost.TRIVIAL, limits=ItemLimits(response_bytes=1 << 19))
async def exact(rollout: Rollout, ref: ExactReference, options: ExactOptions) -> Score:
    """Whether the response, or a named part of it, equals a reference answer.

    Source: string match as lm-evaluation-harness's `exact_match`; which differences do not count is said by the
    options.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    if len(answer) > max(_LONGEST, 8 * max(map(len, ref.answers))):
        return Score.floor("limit", f"the answer has {len(answer)} characters")
    form = options.form
    compared = form.of(answer)
    equal = any(form.of(accepted) == compared for accepted in ref.answers)
    return Score(float(equal), evidence={"compared": compared[:_SHOWN], "answers": ref.answers})
