"""What trainers call a reference, and names for rollouts that have none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ANSWERS = ("answer", "solution", "ground_truth")
"""Columns that hold an answer, in the order in which they are looked for."""


def read_cell(value: Any) -> Any:
    """A cell of a data set: an object without what the row lacks, out of JSON text too; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            return value
        value = read if isinstance(read, dict) else value
    return {key: part for key, part in value.items() if part is not None} if isinstance(value, Mapping) else value


def reference_of(value: Any) -> Any:
    """The reference that a label means: an object is one, a text, a number or a list is an answer, None is none."""
    value = read_cell(value)
    return value if value is None or isinstance(value, Mapping) else {"answer": value}


def content_id(*parts: Any) -> str:
    """A name that follows from what a rollout holds: verifiers that draw then draw the same for the same content."""
    text = json.dumps(parts, default=repr, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
