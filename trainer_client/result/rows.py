"""A scored rollout as a row of JSON types: what ``assay score`` writes, and what a record keeps of a training step."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from trainer_client.result.details import Cell
from trainer_client.result.outcomes import Outcome
from trainer_client.result.table import ScoreTable
from trainer_client.rollout.types import Document, Rollout


def verdict_row(
    rollout: Rollout, table: ScoreTable, row: int, *, evidence: bool = False, feedback: bool = False
) -> dict[str, Any]:
    """What the verifiers said of a rollout.

    Args:
        rollout: the rollout.
        table: where its scores are.
        row: its position there.
        evidence: whether to add what each verifier extracted and compared, which may quote references.
        feedback: whether to add what the policy may be shown of its mistakes.
    """
    cells = {
        name: table.cell(row, column)
        for column, name in enumerate(table.columns)
        if table.outcomes[row, column] != Outcome.NOT_ASKED
    }
    line: dict[str, Any] = {
        "rollout_id": rollout.rollout_id,
        "group_id": rollout.group_id,
        "task": rollout.task,
        "scores": {name: cell.score for name, cell in cells.items()},
        "codes": {name: cell.code for name, cell in cells.items()},
    }
    faults = {name: _fault(cell) for name, cell in cells.items() if cell.outcome is Outcome.FAULT}
    skips = {name: cell.code for name, cell in cells.items() if cell.outcome is Outcome.SKIP}
    aspects = {f"{name}.{part}": value for name, cell in cells.items() for part, value in cell.aspects.items()}
    notes = {name: cell.note for name, cell in cells.items() if cell.note}
    steps = {name: [dict(step) for step in cell.steps] for name, cell in cells.items() if cell.steps}
    optional = {"faults": faults, "skips": skips, "aspects": aspects, "notes": notes, "steps": steps}
    line |= {key: value for key, value in optional.items() if value}
    if evidence:
        line["evidence"] = {name: cell.evidence for name, cell in cells.items() if cell.evidence is not None}
    if feedback:
        line["feedback"] = {name: cell.feedback for name, cell in cells.items() if cell.feedback}
    return line


def _fault(cell: Cell) -> dict[str, str]:
    return {"party": cell.party, "code": cell.code, "message": cell.message}


def rollout_fields(rollout: Rollout) -> dict[str, Any]:
    """Everything that a rollout holds, but for what is empty: ``Rollout(**fields)`` makes it again."""
    values = {field.name: getattr(rollout, field.name) for field in fields(rollout)}
    return {name: plain(value) for name, value in values.items() if not _is_empty(value) or name in _ALWAYS}


_ALWAYS = ("rollout_id", "prompt", "response", "group_id")


def _is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def rollout_of(row: Mapping[str, Any]) -> Rollout:
    """The rollout whose `rollout_fields` these are.

    Raises:
        RolloutError: a field has the wrong type.
        TypeError: there are fields of something else.
    """
    documents = tuple(Document(**document) for document in row.get("documents", ()))
    return Rollout(**{**row, "documents": documents})


def plain(value: Any) -> Any:
    """The value of JSON types; what is no number there (NaN, an infinity) is null; bytes are base64."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Document):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def draw_of(group_id: str) -> bytes:
    """A number that is drawn for a group: the lowest ones are a sample that depends on nothing but the ids."""
    return hashlib.sha256(group_id.encode("utf-8", "surrogatepass")).digest()
