"""Rollout files: JSON Lines, one rollout per line.

Fields are those of `Rollout`; ``response`` must be there. A line without ``rollout_id`` is called after its number, one
without ``group_id`` belongs to those with the same prompt. Other columns are given to fields by a mapping. A line that
cannot be used is a `LineProblem`; it never costs another line anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from trainer_client._errors import RolloutError
from trainer_client.rollout.types import Document, Rollout

PathLike: TypeAlias = str | os.PathLike[str]

_TEXT_IDS = ("rollout_id", "group_id")
_COLUMNS_SHOWN = 40
_FIELDS = (
    "rollout_id", "group_id", "task", "prompt", "response", "reference", "metadata", "finish_reason",
    "documents", "token_ids", "expected",
)  # fmt: skip
_OBJECTS = ("reference", "metadata", "expected")
_EMPTY_IS_ABSENT = {"task", "finish_reason", "documents", "token_ids"}


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that was left out.

    Attributes:
        line: number, counted from 1.
        reason: what is wrong with it.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(slots=True)
class RolloutFile:
    """What a file held.

    Attributes:
        rollouts: the usable lines, in order.
        problems: the lines left out, in order.
        columns: names of the columns, as the file writes them.
        grouped_by_prompt: rollouts without ``group_id``, which share a group with those of the same prompt.
        ungrouped: rollouts with neither ``group_id`` nor prompt, which are groups of their own.
    """

    rollouts: list[Rollout] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    grouped_by_prompt: int = 0
    ungrouped: int = 0


def read_rollouts(path: PathLike, columns: Mapping[str, str] | None = None) -> RolloutFile:
    """Read a whole file.

    Args:
        path: the file.
        columns: column by field, for a file with other names: ``{"response": "completion", "reference.answer":
            "answer"}``. A dot stands for a key of an object, on both sides.

    Raises:
        RolloutError: a field of ``columns`` is none.
        OSError: the file cannot be read.
    """
    found = RolloutFile()
    reader = _Reader(columns or {}, found.problems.append, found)
    found.rollouts.extend(reader.read(path))
    return found


def iter_rollouts(
    path: PathLike, on_problem: Callable[[LineProblem], object], columns: Mapping[str, str] | None = None
) -> Iterator[Rollout]:
    """Read a file line by line; memory holds the ids seen and one line.

    Args:
        path: the file.
        on_problem: called with each line that is left out, when it is passed.
        columns: see `read_rollouts`.

    Raises:
        RolloutError: a field of ``columns`` is none.
        OSError: the file cannot be read.
    """
    return _Reader(columns or {}, on_problem, RolloutFile()).read(path)


class _Reader:
    """Reads one file.

    Attributes:
        found: what is counted along the way; rollouts and problems are not kept in it.
    """

    def __init__(
        self, columns: Mapping[str, str], on_problem: Callable[[LineProblem], object], found: RolloutFile
    ) -> None:
        self._columns = check_columns(columns)
        self._on_problem = on_problem
        self._lines: dict[str, int] = {}
        self._prompts: dict[str, tuple[bytes, int]] = {}
        self.found = found

    def read(self, path: PathLike) -> Iterator[Rollout]:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    rollout = self._rollout(number, line)
                    self._check(number, rollout)
                except RolloutError as error:
                    self._on_problem(LineProblem(number, str(error)))
                else:
                    yield rollout

    def _rollout(self, number: int, line: bytes) -> Rollout:
        table = _read_object(line)
        if len(self.found.columns) < _COLUMNS_SHOWN:
            self.found.columns.update(dict.fromkeys(table))
        table = _renamed(table, self._columns)
        if table.get("rollout_id") is None:
            table["rollout_id"] = f"line-{number}"
        grouped = table.get("group_id") not in (None, "")
        rollout = _rollout_of(table)
        if not grouped and rollout.prompt:
            rollout.group_id = f"prompt-{_digest(rollout.prompt).hex()}"
            self.found.grouped_by_prompt += 1
        elif not grouped:
            self.found.ungrouped += 1
        return rollout

    def _check(self, number: int, rollout: Rollout) -> None:
        seen = self._lines.setdefault(rollout.rollout_id, number)
        if seen != number:
            raise RolloutError(f"{rollout.rollout_id!r} is used on line {seen} already", "rollout_id")
        digest = _digest(rollout.prompt)
        beside, there = self._prompts.setdefault(rollout.group_id, (digest, number))
        if beside != digest:
            raise RolloutError(f"differs from line {there}, of the same group {rollout.group_id!r}", "prompt")


def check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """A mapping of fields to columns.

    Raises:
        RolloutError: it names a field that rollouts do not have.
    """
    for name in columns:
        field_name, dot, key = name.partition(".")
        if field_name not in _FIELDS or (dot and (field_name not in _OBJECTS or not key)):
            raise RolloutError(f"{name!r} is no field of a rollout; fields are {', '.join(_FIELDS)}", "columns")
    return dict(columns)


def _renamed(table: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A line with its own columns given to fields; columns that are given away do not stay beside them."""
    if not columns:
        return table
    values = {name: _value_at(table, column) for name, column in columns.items()}
    kept = {name: value for name, value in table.items() if name not in columns.values()}
    for name, value in values.items():
        field_name, _, key = name.partition(".")
        if not key:
            kept[field_name] = value
        elif value is not None:
            inner = kept.get(field_name)
            kept[field_name] = {**(inner if isinstance(inner, dict) else {}), key: value}
    return kept


def _value_at(table: Mapping[str, Any], column: str) -> Any:
    """The value of a column; a name with dots that is no column of its own leads into objects and lists."""
    if column in table:
        return table[column]
    value: Any = table
    for step in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _digest(prompt: Any) -> bytes:
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def write_rollouts(path: PathLike, rollouts: Iterable[Rollout]) -> None:
    """Write rollouts, one line each; fields that are empty are left out.

    Raises:
        RolloutError: a field cannot be written as JSON.
        OSError: the file cannot be written.
    """
    with open(path, "w", encoding="utf-8") as out:
        for rollout in rollouts:
            out.write(format_rollout(rollout) + "\n")


def parse_rollout(line: bytes | str) -> Rollout:
    """Read one line, which must name its rollout.

    Raises:
        RolloutError: naming the field and the reason.
    """
    table = _read_object(line)
    if table.get("rollout_id") is None:
        raise RolloutError("is missing", "rollout_id")
    return _rollout_of(table)


def _read_object(line: bytes | str) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig") if isinstance(line, bytes) else line
        table = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RolloutError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise RolloutError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise RolloutError(f"not JSON: {error}") from None
    except RecursionError:
        raise RolloutError("not JSON that can be read: it is nested too deeply") from None
    if not isinstance(table, dict):
        raise RolloutError(f"expected an object, found {type(table).__name__}")
    return table


def _rollout_of(table: dict[str, Any]) -> Rollout:
    """The rollout of a line; takes the table apart."""
    for name in _TEXT_IDS:
        # Data sets number their rows.
        if isinstance(table.get(name), int) and not isinstance(table[name], bool):
            table[name] = str(table[name])
    if table.get("response") is None:
        raise RolloutError("is missing", "response", _id_of(table))
    known = {name: table.pop(name) for name in _FIELDS if name in table}
    known = {"prompt": "", **{name: value for name, value in known.items() if value is not None}}
    if "documents" in known:
        known["documents"] = _documents(known["documents"], _id_of(known))
    if not isinstance(known.get("token_ids", []), list):
        raise RolloutError("expected a list of whole numbers", "token_ids", _id_of(known))
    return Rollout(**known, extra=table)


def format_rollout(rollout: Rollout) -> str:
    """One line, without the line break.

    Raises:
        RolloutError: a field cannot be written as JSON.
    """
    table: dict[str, Any] = {name: getattr(rollout, name) for name in _FIELDS}
    table["documents"] = [{"id": d.id, "text": d.text, "title": d.title, "uri": d.uri} for d in rollout.documents]
    table["token_ids"] = [int(token) for token in rollout.token_ids]
    empty = [name for name in _FIELDS if table[name] is None or (name in _EMPTY_IS_ABSENT and not table[name])]
    kept = {name: value for name, value in table.items() if name not in empty} | dict(rollout.extra)
    try:
        text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
        # A lone surrogate has no UTF-8 form, but it has a JSON escape.
        return text if _is_encodable(text) else json.dumps(kept, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RolloutError(f"cannot be written as JSON: {error}", "", rollout.rollout_id) from None


def _documents(value: Any, rollout_id: str) -> list[Document]:
    if not isinstance(value, list):
        raise RolloutError(f"expected a list, found {type(value).__name__}", "documents", rollout_id)
    documents = []
    for number, entry in enumerate(value):
        place = f"documents[{number}]"
        if not isinstance(entry, Mapping):
            raise RolloutError(f"expected an object, found {type(entry).__name__}", place, rollout_id)
        unknown = sorted(set(entry) - {"id", "text", "title", "uri"})
        if unknown:
            raise RolloutError(f"{unknown[0]!r} is not a field of a document (id, text, title, uri)", place, rollout_id)
        if not {"id", "text"} <= entry.keys():
            raise RolloutError("needs id and text", place, rollout_id)
        try:
            documents.append(Document(**{key: value for key, value in entry.items() if value is not None}))
        except RolloutError as error:
            raise RolloutError(error.reason, f"{place}.{error.field.partition('.')[2]}", rollout_id) from None
    return documents


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_of(table: Mapping[str, Any]) -> str:
    found = table.get("rollout_id")
    return found if isinstance(found, str) else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
