"""Files in a user's own shape: which column is which field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from trainer_client import RolloutFile

_USUAL = {
    "response": ("completion", "output", "answer_text", "generation", "model_output", "prediction", "text"),
    "reference.answer": ("answer", "solution", "ground_truth", "gold", "target", "label"),
    "prompt": ("question", "problem", "instruction", "input", "query"),
}
"""What other files call a field; only ever proposed, never taken."""


def read_columns(given: Sequence[str]) -> dict[str, str]:
    """Read ``FIELD=COLUMN`` of the command line.

    Raises:
        UserError: One of them has another form, or is given twice.
    """
    columns: dict[str, str] = {}
    for one in [part for text in given for part in text.split(",")]:
        name, equals, column = one.partition("=")
        if not (name and equals and column):
            raise UserError(f"--map {one!r}: expected FIELD=COLUMN, such as response=completion")
        if name in columns:
            raise UserError(f"--map {one}: {name} is {columns[name]} already; give each field once")
        columns[name] = column
    return columns


def unfitting(source: Path, found: RolloutFile, columns: Mapping[str, str]) -> str:
    """Say of a file of which no line can be used what its columns are, and how to say which is which."""
    first = found.problems[0]
    shown = ", ".join(found.columns)
    proposed = [
        f"--map {name}={column}"
        for name, usual in _USUAL.items()
        if name.partition(".")[0] not in found.columns and name not in columns
        for column in [next((column for column in usual if column in found.columns), "")]
        if column
    ]
    lacks = "response: is missing" in first.reason
    remedy = f"; say which is which: {' '.join(proposed) or '--map response=COLUMN'}" if lacks else ""
    more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
    return f"{source}: no line can be used as a rollout: {first}{more}. Columns here: {shown}{remedy}"
