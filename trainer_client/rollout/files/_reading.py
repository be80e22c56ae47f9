"""Reads files of rollouts in any of their shapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._columns import check_columns, refuse_absent, renamed
from trainer_client.rollout.files._rows import PathLike, Row, read_rows
from trainer_client.rollout.files._table import rollout_of, spread
from trainer_client.rollout.types import Rollout

_HEAD = 100
_COLUMNS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line, or another row, that was left out.

    Attributes:
        line: number, counted from 1.
        reason: what is wrong with it.
        unit: what the file calls it: ``line``, ``row`` or ``entry``.
    """

    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.line}: {self.reason}"


@dataclass(slots=True)
class RolloutFile:
    """What a file held.

    Attributes:
        rollouts: the usable rows, in order; one for each response of a row.
        problems: the rows left out, in order.
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
    """Read a whole file of rollouts.

    JSON Lines, JSON, separated values, parquet and Arrow, also compressed by gzip or zstd; a folder that ``datasets``
    saved, or one of shards; ``-`` for standard input. Fields are those of `Rollout`; ``response`` must be there. A row
    without ``rollout_id`` is called after its number, one without ``group_id`` belongs to those with the same prompt. A
    row with a list of responses is a group of rollouts. A row that cannot be used is a `LineProblem`; it never costs
    another row anything.

    Args:
        path: the file.
        columns: column by field, for a file with other names: ``{"response": "completion", "reference.answer":
            "answer"}``. A dot stands for a key of an object, on both sides.

    Raises:
        RolloutError: a field of ``columns`` is none, a column is not there, or the file is none of rows.
        OSError: the file cannot be read.
    """
    found = RolloutFile()
    reader = _Reader(columns or {}, found.problems.append, found)
    found.rollouts.extend(reader.read(path))
    return found


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
        self._rows: dict[str, int] = {}
        self._prompts: dict[str, tuple[bytes, int]] = {}
        self.found = found

    def read(self, path: PathLike) -> Iterator[Rollout]:
        rows = read_rows(path)
        head = list(islice(rows, _HEAD))
        tables = [row.table for row in head if row.table is not None]
        refuse_absent(self._columns, tables)
        self.found.columns.update(dict.fromkeys(list(dict.fromkeys(chain(*tables)))[:_COLUMNS_SHOWN]))
        for row in chain(head, rows):
            yield from self._of_row(row)

    def _of_row(self, row: Row) -> Iterator[Rollout]:
        if row.table is None:
            self._on_problem(LineProblem(row.number, row.problem, row.unit))
            return
        table = renamed(row.table, self._columns)
        if table.get("rollout_id") in (None, ""):
            table["rollout_id"] = f"{row.unit.rpartition(' ')[2]}-{row.number}"
        try:
            ones = list(spread(table))
        except RolloutError as error:
            self._on_problem(LineProblem(row.number, str(error), row.unit))
            return
        for one in ones:
            try:
                grouped = one.get("group_id") not in (None, "")
                rollout = rollout_of(one)
                if not grouped and rollout.prompt:
                    rollout.group_id = f"prompt-{_digest(rollout.prompt).hex()}"
                self._check(rollout, row)
            except RolloutError as error:
                self._on_problem(LineProblem(row.number, str(error), row.unit))
                continue
            self.found.grouped_by_prompt += not grouped and bool(rollout.prompt)
            self.found.ungrouped += not grouped and not rollout.prompt
            yield rollout

    def _check(self, rollout: Rollout, row: Row) -> None:
        """Refuse a rollout that does not fit in with those before it."""
        seen = self._rows.setdefault(rollout.rollout_id, row.number)
        if seen != row.number:
            raise RolloutError(f"{rollout.rollout_id!r} is used on {row.unit} {seen} already", "rollout_id")
        digest = _digest(rollout.prompt)
        beside, there = self._prompts.setdefault(rollout.group_id, (digest, row.number))
        if beside != digest:
            raise RolloutError(f"differs from {row.unit} {there}, of the same group {rollout.group_id!r}", "prompt")


def _digest(prompt: Any) -> bytes:
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
