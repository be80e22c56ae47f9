"""Strict JSON: no duplicate keys, and no constants outside of the standard."""

from __future__ import annotations

import json
from typing import Any


def strict_json(text: str) -> Any:
    """Read JSON of which no reader can make something else.

    Raises:
        ValueError: It is not JSON, an object names a key twice, or a number is `NaN` or infinite.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise ValueError("an object names a key twice")
    return decoded


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
