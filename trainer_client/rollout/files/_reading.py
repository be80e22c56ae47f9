"""Reads files of rollouts in any of their shapes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._columns import check_columns, refuse_absent, renamed
from trainer_client.rollout.files._join import Joined
from trainer_client.rollout.files._media import Media
from trainer_client.rollout.files._row import Row
from trainer_client.rollout.files._rows import STDIN, PathLike, read_rows
from trainer_client.rollout.files._shapes import PLAIN, SHAPES, Shape, fields_of, shape_of
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
        format: the shape that the rows were read as: see `Form`.
        variants: rows left out since they hold responses of other rows once more.
    """

    rollouts: list[Rollout] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    grouped_by_prompt: int = 0
    ungrouped: int = 0
    format: str = PLAIN
    variants: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is read.

    Attributes:
        columns: column by field, for a file with other names: ``{"response": "completion", "reference.answer":
            "answer"}``. A dot stands for a key of an object, on both sides.
        format: a shape of `SHAPES`, or ``plain``; None for the one that the first rows unmistakably have, unless
            ``columns`` says where the response is.
        join: a second file that adds columns, such as references, by an id.
        join_on: column with that id, or ``HERE=THERE``; None for the usual names.
        media_root: folder of images that are given by their path; None for that of the file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    join: PathLike | None = None
    join_on: str | None = None
    media_root: PathLike | None = None

    def __post_init__(self) -> None:
        check_columns(self.columns)
        if self.format not in (None, PLAIN, *SHAPES):
            raise RolloutError(f"{self.format!r} is not one of {', '.join([PLAIN, *SHAPES])}", "format")


def read_rollouts(path: PathLike, columns: Mapping[str, str] | None = None, **form: Any) -> RolloutFile:
    """Read a whole file of rollouts.

    JSON Lines, JSON, separated values, parquet and Arrow, also compressed by gzip or zstd; a folder that ``datasets``
    saved, or one of shards; ``-`` for standard input. Fields are those of `Rollout`; ``response`` must be there. A row
    without ``rollout_id`` is called after its number, one without ``group_id`` belongs to those with the same prompt. A
    row with a list of responses is a group of rollouts. A row that cannot be used is a `LineProblem`; it never costs
    another row anything.

    Args:
        path: the file.
        columns: column by field: see `Form`.
        form: its other attributes.

    Raises:
        RolloutError: a field of ``columns`` is none, a column is not there, or the file is none of rows.
        OSError: the file cannot be read.
    """
    file = RolloutFile()
    reader = RolloutReader(Form(columns or {}, **form), file.problems.append, file)
    file.rollouts.extend(rollout for rollout, _ in reader.read(path))
    return file


RowPositions: TypeAlias = set[tuple[int, int]]
"""Rollouts of a file: number of the row, and position in it."""


class RolloutReader:
    """Reads one file; memory holds a few rows, the ids, and a second file that is joined.

    Args:
        form: how.
        on_problem: told of each row that is left out.
        file: what is counted along the way; rollouts and problems are not kept in it.
        unfit: the ``unfit`` of a reader that has read the file before. Ids and prompts are not compared again, and
            memory does not hold them.

    Attributes:
        unfit: rollouts that are left out since they do not fit in with those before them.
    """

    def __init__(
        self,
        form: Form,
        on_problem: Callable[[LineProblem], object],
        file: RolloutFile,
        unfit: RowPositions | None = None,
    ) -> None:
        self._form = form
        self._on_problem = on_problem
        self._again = unfit is not None
        self.unfit: RowPositions = set() if unfit is None else unfit
        self._rows: dict[str, int] = {}
        self._prompts: dict[str, bytes] = {}
        self._groups: dict[str, str] = {}
        self._shape: Shape | None = None
        self._variant: Any = None
        self._joined: Joined | None = None
        self._media = Media(Path(form.media_root or "."))
        self.found = file

    def read(self, path: PathLike) -> Iterator[tuple[Rollout, Mapping[str, Any]]]:
        """Rollouts, each with the row that it came from."""
        if self._form.media_root is None and os.fspath(path) != STDIN:
            self._media = Media(Path(path) if os.path.isdir(path) else Path(path).parent)
        rows = read_rows(path)
        head = list(islice(rows, _HEAD))
        tables = [row.table for row in head if row.table is not None]
        self._prepare(tables)
        self.found.columns.update(dict.fromkeys(list(dict.fromkeys(chain(*tables)))[:_COLUMNS_SHOWN]))
        for row in chain(head, rows):
            if row.table is None:
                self._on_problem(LineProblem(row.number, row.problem, row.unit))
            elif self._is_other_variant(row.table):
                self.found.variants += 1
            else:
                yield from self._of_row(row, row.table)

    def _prepare(self, tables: list[dict[str, Any]]) -> None:
        """Know how rows are read from the first ones."""
        form = self._form
        if form.join is not None:
            self._joined = Joined(form.join, form.join_on, tables)
            tables = [self._joined.add_if_there(table) for table in tables]
        if form.format is not None:
            self._shape = SHAPES.get(form.format)
        elif "response" not in form.columns:
            self._shape = shape_of(tables)
        refuse_absent(form.columns, tables)
        if self._shape is not None:
            self.found.format = self._shape.name
            self._variant = next((table.get(self._shape.variant) for table in tables), None)

    def _is_other_variant(self, table: Mapping[str, Any]) -> bool:
        # Tables with an index have a column without a name, which is no shape's.
        column = self._shape.variant if self._shape is not None else ""
        return bool(column) and table.get(column) != self._variant

    def _of_row(self, row: Row, source: dict[str, Any]) -> Iterator[tuple[Rollout, Mapping[str, Any]]]:
        try:
            if self._joined is not None:
                source = self._joined.add_to(source)
            table = dict(source) if self._shape is None else fields_of(self._shape, source)
            table = renamed(table, self._form.columns, source)
            if table.get("rollout_id") in (None, ""):
                table["rollout_id"] = f"{row.unit.rpartition(' ')[2]}-{row.number}"
            tables = list(spread(self._media.place(table)))
        except RolloutError as error:
            self._on_problem(LineProblem(row.number, str(error), row.unit))
            return
        for position, item in enumerate(tables):
            if self._again and (row.number, position) in self.unfit:
                continue
            try:
                grouped = item.get("group_id") not in (None, "")
                rollout = rollout_of(item)
                if not grouped and rollout.prompt:
                    rollout.group_id = f"prompt-{_digest(rollout.prompt).hex()}"
                # One text for all of a group: a million of them would fill memory.
                rollout.group_id = self._groups.setdefault(rollout.group_id, rollout.group_id)
                if not self._again:
                    self._check(rollout, row, position, grouped)
            except RolloutError as error:
                self._on_problem(LineProblem(row.number, str(error), row.unit))
                continue
            self.found.grouped_by_prompt += not grouped and bool(rollout.prompt)
            self.found.ungrouped += not grouped and not rollout.prompt
            yield rollout, source

    def _check(self, rollout: Rollout, row: Row, position: int, is_given: bool) -> None:
        """Refuse a rollout that does not fit in with those before it."""
        first_row = self._rows.setdefault(rollout.rollout_id, row.number)
        if first_row != row.number:
            self.unfit.add((row.number, position))
            raise RolloutError(f"{rollout.rollout_id!r} is already used on {row.unit} {first_row}", "rollout_id")
        if not is_given:
            return
        digest = _digest(rollout.prompt)
        first_prompt = self._prompts.setdefault(rollout.group_id, digest + row.number.to_bytes(8, "big"))
        if not first_prompt.startswith(digest):
            self.unfit.add((row.number, position))
            other_row = int.from_bytes(first_prompt[len(digest) :], "big")
            raise RolloutError(f"differs from {row.unit} {other_row}, of the same group {rollout.group_id!r}", "prompt")


def _digest(prompt: Any) -> bytes:
    text = f"t{prompt}" if isinstance(prompt, str) else "j" + json.dumps(prompt, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
