"""The content of the answer tag of a reply."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "<answer>", "</answer>"


def answer_of(reply: str, *, ignore_case: bool = False) -> str | None:
    """Text between the first ``<answer>`` and the next ``</answer>``, or None; in time linear in the reply's length."""
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    start = re.search(_OPEN, reply, flags)
    end = re.compile(_CLOSE, flags).search(reply, start.end()) if start else None
    return reply[start.end() : end.start()] if start and end else None
