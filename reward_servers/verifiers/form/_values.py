"""Structured values beside a right one: which of their plain values agree, each with its path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from reward_servers import DatasetError, Rollout, Score
from reward_servers.engines.text import fenced
from reward_servers.verifiers._answers import AnswerOptions, answer_part

ASPECTS = dict.fromkeys(("f1", "precision", "recall", "exact"), 0.0)
_DEEPEST = 64
_MOST = 20_000


class ValueOptions(AnswerOptions):
    """Which differences count."""

    metric: Literal["f1", "exact"] = Field("f1", description="F1 over values with their paths, or all of them at once.")
    lists: Literal["ordered", "unordered"] = Field("ordered", description="Whether the order of lists counts.")
    case: bool = Field(True, description="Whether upper and lower case of texts differ.")
    relative: float = Field(1e-9, ge=0, le=1, description="Relative difference of numbers that makes none.")


class _TooMuchError(Exception):
    """The value is too deep or too large."""


def compared(rollout: Rollout, options: ValueOptions, reader: Callable[[str], Any], right: Any, name: str) -> Score:
    """Score of the value that a response gives; a code fence around it is left out.

    Args:
        rollout: The rollout.
        options: Which part is read, and which differences count.
        reader: Reads a text; raises ``ValueError`` for one that is not of the format.
        right: The right value.
        name: What the format is called.

    Raises:
        DatasetError: The right value is too large.
    """
    answer = answer_part(rollout, options)
    if answer is None:
        return Score.floor("no_answer", f"nothing to read (take = {options.take})")
    blocks = fenced(answer)
    try:
        leaves = _leaves(reader(blocks[-1] if blocks else answer), options)
    except (ValueError, RecursionError) as error:
        return Score.floor("malformed", f"not {name}: {error}"[:300])
    except _TooMuchError:
        return Score.floor("limit", f"deeper than {_DEEPEST} levels or more than {_MOST} values")
    try:
        right_leaves = _leaves(right, options)
    except _TooMuchError:
        raise DatasetError(f"reference.answer: deeper than {_DEEPEST} levels or over {_MOST} values") from None
    shared = _shared(leaves, right_leaves, options.relative)
    aspects = {
        "f1": 2 * shared / (len(leaves) + len(right_leaves)),
        "precision": shared / len(leaves),
        "recall": shared / len(right_leaves),
        "exact": float(shared == len(leaves) == len(right_leaves)),
    }
    return Score(aspects[options.metric], aspects=aspects)


def _leaves(value: Any, options: ValueOptions, path: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """Each plain value with its path. Empty objects and lists count as values."""
    if depth > _DEEPEST:
        raise _TooMuchError
    if isinstance(value, dict) and value:
        parts = [
            leaf
            for key, item in value.items()
            for leaf in _leaves(item, options, f"{path}.{json.dumps(key)}", depth + 1)
        ]
    elif isinstance(value, list) and value:
        items = enumerate(value) if options.lists == "ordered" else (("*", item) for item in value)
        parts = [leaf for place, item in items for leaf in _leaves(item, options, f"{path}[{place}]", depth + 1)]
    else:
        text = value if options.case or not isinstance(value, str) else value.casefold()
        return [(path, json.dumps(text) if isinstance(text, dict | list) else text)]
    if len(parts) > _MOST:
        raise _TooMuchError
    return parts


def _shared(leaves: list[tuple[str, Any]], wanted_leaves: list[tuple[str, Any]], relative: float) -> int:
    """Values of the same path that agree, each used once: numbers within the tolerance, all else exactly."""
    plain = [
        Counter((path, _key(value)) for path, value in side if not _is_number(value))
        for side in (leaves, wanted_leaves)
    ]
    count = sum((plain[0] & plain[1]).values())
    numbers: dict[str, list[float]] = {}
    for path, value in wanted_leaves:
        if _is_number(value):
            numbers.setdefault(path, []).append(value)
    for path, value in leaves:
        if _is_number(value):
            left = numbers.get(path, [])
            near = [number for number in left if abs(number - value) <= relative * max(abs(number), abs(value))]
            if near:
                left.remove(min(near, key=lambda number: abs(number - value)))
                count += 1
    return count


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value
