"""Rollout files: JSON Lines, one rollout per line.

Fields are those of `Rollout`; ``rollout_id``, ``prompt`` and ``response`` must be there. A line that cannot be used
is a `LineProblem`; it never costs another line anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from trainer_client._errors import RolloutError
from trainer_client._rollout import Document, Rollout

PathLike: TypeAlias = str | os.PathLike[str]

_REQUIRED = ("rollout_id", "prompt", "response")
_FIELDS = (
    "rollout_id", "group_id", "task", "prompt", "response", "reference", "metadata", "finish_reason",
    "documents", "token_ids", "expected",
)  # fmt: skip
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


@dataclass(frozen=True, slots=True)
class RolloutFile:
    """What a file held.

    Attributes:
        rollouts: the usable lines, in order.
        problems: the lines left out, in order.
    """

    rollouts: list[Rollout] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)


def read_rollouts(path: PathLike) -> RolloutFile:
    """Read a whole file.

    Raises:
        OSError: the file cannot be read.
    """
    found = RolloutFile()
    found.rollouts.extend(iter_rollouts(path, found.problems.append))
    return found


def iter_rollouts(path: PathLike, on_problem: Callable[[LineProblem], object]) -> Iterator[Rollout]:
    """Read a file line by line; memory holds the ids seen and one line.

    Args:
        path: the file.
        on_problem: called with each line that is left out, when it is passed.

    Raises:
        OSError: the file cannot be read.
    """
    first_line: dict[str, int] = {}
    prompts: dict[str, tuple[int, int]] = {}
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                rollout = parse_rollout(line)
            except RolloutError as error:
                on_problem(LineProblem(number, str(error)))
                continue
            seen = first_line.setdefault(rollout.rollout_id, number)
            if seen != number:
                on_problem(LineProblem(number, f"rollout_id: {rollout.rollout_id!r} stands on line {seen} already"))
                continue
            digest = hash(rollout.prompt if isinstance(rollout.prompt, str) else json.dumps(rollout.prompt))
            beside, there = prompts.setdefault(rollout.group_id, (digest, number))
            if beside != digest:
                on_problem(
                    LineProblem(number, f"prompt: differs from line {there}, of the same group {rollout.group_id!r}")
                )
                continue
            yield rollout


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
    """Read one line.

    Raises:
        RolloutError: naming the field and the reason.
    """
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
    for name in _REQUIRED:
        if table.get(name) is None:
            raise RolloutError("is missing", name, _id_of(table))
    known = {name: table.pop(name) for name in _FIELDS if name in table}
    known = {name: value for name, value in known.items() if value is not None}
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
