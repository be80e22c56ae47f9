"""The language of a response."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from reward_servers import DatasetError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.language import CODES, COMMON, identify, share_in
from reward_servers.engines.text import visible


def _known_code(code: str | None) -> str | None:
    if code is not None and code not in CODES:
        raise ValueError(f"a code of ISO 639-1 such as 'de', not {code!r}")
    return code


class LanguageReference(Reference):
    """The language of this prompt; it goes before the one in the options."""

    language: str | None = Field(None, description="Its ISO 639-1 code, such as `de`.")

    _check = field_validator("language")(_known_code)


class LanguageOptions(Options):
    """Which language is wanted, and of which part of the response."""

    language: str | None = Field(None, description="ISO 639-1 code of the language where the reference has none.")
    among: tuple[str, ...] = Field(
        (), description="Languages that come into question; the common ones if none is named."
    )
    metric: Literal["share", "whole"] = Field(
        "share", description="Share of the letters in sentences of the language, or 1 where that is `enough`."
    )
    enough: float = Field(1.0, gt=0, le=1, description="Share that is right for metric = 'whole'.")
    reasoning: bool = Field(False, description="Whether reasoning is read too, as for the consistency of R1.")

    _check = field_validator("language")(_known_code)

    @field_validator("among")
    @classmethod
    def _check_among(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            _known_code(code)
        return codes


@verifier(
    "language",
    version="1",
    limits=ItemLimits(response_bytes=1 << 18),
    aspects=dict.fromkeys(("share", "probability"), 0.0),
    libraries=("py3langid",),
)
def language(rollout: Rollout, ref: LanguageReference, options: LanguageOptions) -> Score:
    """How much of a response is in the language that was asked for, sentence by sentence.

    A sentence is too short to be told by itself below 20 letters and is read with the next. Source: the language
    consistency reward of DeepSeek-R1 (arXiv 2501.12948, section 2.3.2), with letters in place of words.
    """
    target = ref.language or options.language
    if target is None:
        raise DatasetError("reference.language: missing, and the options name no `language` either")
    among = frozenset(options.among or COMMON) | {target}
    text = rollout.response if options.reasoning else visible(rollout.response, rollout.reasoning_marks).text
    share = share_in(text, target, among)
    if share is None:
        return Score.floor("no_answer", "there are no letters")
    identified = identify(text, among)
    aspects = {
        "share": share,
        "probability": identified[1] if identified is not None and identified[0] == target else 0.0,
    }
    value = share if options.metric == "share" else float(share >= options.enough)
    return Score(value, aspects=aspects, evidence={"whole": identified})
