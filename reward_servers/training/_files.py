"""JSON Lines files of training data: what is wrong is named by file, line and key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from trainer_client._numbers import is_number

T = TypeVar("T")
_SHOWN = 10


class RowsError(ValueError):
    """A file that cannot be trained on; each line of the message names a line of the file, a key and the remedy."""


def read_rows(path: Path, parse: Callable[[dict[str, Any]], T], needs: str) -> list[T]:
    """Read a JSON Lines file.

    Args:
        path: The file.
        parse: What makes a row of a line's object; raises ValueError for one that cannot be used.
        needs: What a line holds, for messages.

    Returns:
        The rows, in order.

    Raises:
        RowsError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    rows: list[T] = []
    problems: list[str] = []
    with path.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        rows.append(parse(_object(line, needs)))
                    except (ValueError, RecursionError) as error:
                        problems.append(f"{path}:{number}: {error}")
        except UnicodeDecodeError as error:
            raise RowsError(f"{path}: is not UTF-8 ({error.reason}); give a JSON Lines file") from None
    if problems:
        more = f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise RowsError("\n".join(problems[:_SHOWN]) + more)
    if not rows:
        raise RowsError(f"{path}: is empty; a line holds {needs}")
    return rows


def _object(line: str, needs: str) -> dict[str, Any]:
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError(f"a line is an object with {needs}")
    return data


def turns_of(value: Any, role: str, key: str) -> tuple[tuple[str, str], ...]:
    """Turns of a text, which is one of ``role``, or of chat messages.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, str):
        return ((role, value),) if value or role == "assistant" else ()
    if not isinstance(value, list):
        raise ValueError(f"{key}: is neither a text nor a list of messages")
    turns = []
    for message in value:
        if not isinstance(message, dict) or not all(isinstance(message.get(name), str) for name in ("role", "content")):
            raise ValueError(f"{key}: a message has a role and a content, both texts")
        turns.append((message["role"], message["content"]))
    return tuple(turns)


def number_of(data: Mapping[str, Any], key: str, default: float | None, most: float) -> float:
    """A number from 0 to ``most``.

    Raises:
        ValueError: It is missing and has no default, or is none.
    """
    value = data.get(key, default)
    if value is None and key not in data:
        raise ValueError(f"{key}: is missing; the line has {', '.join(map(str, data)) or 'no keys'}")
    if not is_number(value) or not 0.0 <= value <= most:
        raise ValueError(f"{key}: {value!r} is not a number from 0 to {most:g}")
    return float(value)
