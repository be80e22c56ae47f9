"""Replies of a judge that compares two candidates (Pref-GRPO)."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from reward_servers.engines.published._tagged import answer_of

_FIRST, _SECOND = (re.compile(rf"\b(?:image|video|response|answer)\s*{n}\b", re.IGNORECASE) for n in (1, 2))


def read_verdict(
    reply: str, *, first: str = "Image 1 is better", second: str = "Image 2 is better", strict: bool = True
) -> float | None:
    """What the first candidate won: 1 or 0, 0.5 for a tie, None for a reply that names no winner.

    Args:
        reply: text of the judge, its verdict in an answer tag.
        first: phrase for the first candidate.
        second: phrase for the second.
        strict: the verdict must be in the tag and in this case; otherwise the whole reply is searched where it has
            no tag, and case is ignored.

    Source: Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_think.py (strict) and
    unifiedreward_edit_pairwise.py @3e787f6d.
    """
    tagged = answer_of(reply, ignore_case=True)
    if tagged is None and strict:
        return None
    text = reply if tagged is None else tagged
    if not strict:
        text, first, second = text.lower(), first.lower(), second.lower()
    has_first, two = first in text, second in text
    if has_first != two:
        return 1.0 if has_first else 0.0
    return 0.5 if "tie" in text.lower() and not has_first else None


class Dimensions(NamedTuple):
    """A comparison in several respects.

    Attributes:
        overall: what the first candidate won: 1, 0, or 0.5 where no winner is named.
        by_name: the same for each respect.
    """

    overall: float
    by_name: dict[str, float]


def read_dimensions(reply: str, *, limit: int = 3) -> Dimensions | None:
    """A verdict given as ``{"winner": ..., "categories": [{"name": ..., "cat_winner": ...}]}``; None without one.

    Of several categories the first ``limit`` count. A category without a name is called ``category``.

    Source: Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards/unifiedreward_flex.py @3e787f6d.
    """
    data = _json_object(reply)
    if data is None:
        return None
    listed = data.get("categories")
    categories = [entry for entry in listed[:limit] if isinstance(entry, dict)] if isinstance(listed, list) else []
    by_name = {
        str(entry.get("name", "")).strip() or "category": _winner(str(entry.get("cat_winner", "")))
        for entry in categories
    }
    return Dimensions(_winner(str(data.get("winner", ""))), by_name)


def _winner(text: str) -> float:
    has_first, two = bool(_FIRST.search(text)), bool(_SECOND.search(text))
    return 0.5 if has_first == two else float(has_first)


def _json_object(text: str) -> dict[str, Any] | None:
    start, end = text.find("{"), text.rfind("}")
    try:
        data = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (json.JSONDecodeError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
