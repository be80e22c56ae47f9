"""Rows that a second file adds to, joined by an id: references beside the answers of a batch, say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._columns import value_at
from trainer_client.rollout.files._rows import PathLike, read_rows

_KEYS = ("custom_id", "rollout_id", "id", "doc_id", "group_id")


class Joined:
    """The rows of a second file, in memory, by their id.

    Args:
        path: the file.
        key: column with the id in both files, or ``HERE=THERE`` where its names differ; None for the first of
            ``custom_id``, ``rollout_id``, ``id``, ``doc_id`` and ``group_id`` that both have.
        heads: first rows of the file that is joined to.

    Raises:
        RolloutError: there is no such column, or an id occurs twice.
    """

    def __init__(self, path: PathLike, key: str | None, heads: Iterable[Mapping[str, Any]]) -> None:
        self._path = path
        rows = [_with_prompt(row.table) for row in read_rows(path) if row.table is not None]
        columns = list(dict.fromkeys(name for row in heads for name in row))
        joined_columns = list(dict.fromkeys(name for row in rows[:100] for name in row))
        self._here, self._there = self._keys(key, columns, joined_columns)
        self._rows: dict[str, dict[str, Any]] = {}
        for number, row in enumerate(rows, 1):
            name = value_at(row, self._there)
            if name is None:
                continue
            if str(name) in self._rows:
                raise RolloutError(f"{path}: row {number}: the {self._there} {str(name)!r} occurs twice")
            self._rows[str(name)] = row

    def _keys(self, key: str | None, columns: list[str], joined_columns: list[str]) -> tuple[str, str]:
        if key is not None:
            left, equals, right = key.partition("=")
            return left, right if equals else left
        common = next((name for name in _KEYS if name in columns and name in joined_columns), None)
        if common is None:
            raise RolloutError(
                f"{self._path}: no column with an id is in both files; name the columns as HERE=THERE. Columns here: "
                f"{', '.join(columns)}; there: {', '.join(joined_columns)}"
            )
        return common, common

    def add_if_there(self, row: dict[str, Any]) -> dict[str, Any]:
        """The same, for a row that the other file may not know."""
        return {**self._rows.get(str(value_at(row, self._here)), {}), **row}

    def add_to(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with what the other file says of it; what it says itself goes first.

        Raises:
            RolloutError: the other file has no row of its id.
        """
        name = value_at(row, self._here)
        joined_row = self._rows.get(str(name))
        if joined_row is None:
            raise RolloutError(f"{self._path} has no row with the {self._there} {str(name)!r}")
        return {**joined_row, **row}


def _with_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a batch's input says its prompt in the body of the request."""
    body = row.get("body")
    if "custom_id" not in row or not isinstance(body, Mapping):
        return row
    prompt = body.get("messages", body.get("input", body.get("prompt")))
    others = {name: value for name, value in row.items() if name not in ("body", "method", "url")}
    return others if prompt is None else {**others, "prompt": prompt}
