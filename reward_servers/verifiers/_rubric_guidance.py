"""Guidance for another try of the policy: the criteria that its answer does not meet, and the reasons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST = 600
_SIGNED = re.compile(r"\[[0-9A-Za-z]{6,}\][`*_. ]*$")


@dataclass(frozen=True, slots=True)
class Unmet:
    """A criterion that an answer does not meet, or a pitfall that it falls into.

    Attributes:
        id: Its name.
        text: What it asks for, in words that the policy may read: a pattern may hold the answer.
        is_pitfall: Whether the answer meets it and should not.
        reason: The judge's whole reply about it; empty where it is not known.
    """

    id: str
    text: str
    is_pitfall: bool
    reason: str = ""


def guidance_of(prompt: str, response: str, unmet: Sequence[Unmet]) -> dict[str, Any]:
    """Feedback on an answer, and a prompt that asks for a better one.

    ``guidance`` is a text to put behind an answer (ThinkTuning, arXiv 2508.07616: a view, its reason, what to do), and
    ``revision`` a prompt that asks to revise the answer along what it misses (RGR-GRPO, arXiv 2511.12344); both are
    empty where nothing is unmet.

    Args:
        prompt: What was asked.
        response: The answer, as the judge saw it.
        unmet: What it misses, in the order of the rubric.
    """
    if not unmet:
        return {"unmet": [], "guidance": "", "revision": ""}
    lines = []
    for criterion in unmet:
        why = _reason(criterion.reason)
        lines.append(
            f"- {'Avoid this' if criterion.is_pitfall else 'Meet this'}: {criterion.text}"
            + (f" ({why})" if why else "")
        )
    guidance = "\n".join(["What the last answer lacks:", *lines])
    revision = (
        f"{prompt}\n\nHere is an answer:\n\n{response}\n\n{guidance}\n\n"
        "Write a better answer. Keep what is right, and change what the list names."
    )
    return {"unmet": [criterion.id for criterion in unmet], "guidance": guidance, "revision": revision}


def _reason(reply: str) -> str:
    """What a judge says before its verdict, on one line; the line of the verdict is for no one else."""
    lines = [line.strip() for line in reply.splitlines()]
    prose = [line for line in lines if line and not _SIGNED.search(line) and not line.casefold().startswith("correct:")]
    reason = " ".join(prose)
    return reason if len(reason) <= _LONGEST else reason[:_LONGEST].rstrip() + " ..."
