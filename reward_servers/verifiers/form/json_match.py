"""Structured answers beside a reference: JSON compared value by value."""

from __future__ import annotations

from typing import Any

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.text import strict_json
from reward_servers.verifiers.form._values import ASPECTS, ValueOptions, compared


class JsonMatchReference(Reference):
    """The right value: an object, a list or a plain value; a text that holds JSON is read."""

    answer: Any


class JsonMatchOptions(ValueOptions):
    """Which differences count."""


@verifier("json_match", version="1", limits=ItemLimits(response_bytes=1 << 19), aspects=ASPECTS)
def json_match(rollout: Rollout, ref: JsonMatchReference, options: JsonMatchOptions) -> Score:
    """How much of a JSON answer agrees with the right one, value by value; a code fence around it is left out.

    Source: leaf-by-leaf agreement, as accuracy and F1 of slots in structured extraction; how lists are matched is
    ours.
    """
    return compared(rollout, options, strict_json, _right(ref.answer), "JSON")


def _right(answer: Any) -> Any:
    if not isinstance(answer, str) or answer.strip()[:1] not in ("{", "["):
        return answer
    try:
        return strict_json(answer)
    except ValueError as error:
        raise DatasetError(f"reference.answer: not JSON: {error}"[:300]) from None
