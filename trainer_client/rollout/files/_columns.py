"""Which column of a file is which field of a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainer_client._errors import RolloutError
from trainer_client._settings import field_mistake


def check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """A mapping of fields to columns.

    Raises:
        RolloutError: it names a field that rollouts do not have.
    """
    for name in columns:
        if mistake := field_mistake(name):
            raise RolloutError(mistake, "columns")
    return dict(columns)


def refuse_absent(columns: Mapping[str, str], tables: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a mapping to a column that none of the first rows has.

    Raises:
        RolloutError: with the columns that are there.
    """
    tables = list(tables)
    for name, column in columns.items():
        if tables and not any(_has(table, column) for table in tables):
            from difflib import get_close_matches

            names = list(dict.fromkeys(key for table in tables for key in table))
            close = get_close_matches(column, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise RolloutError(
                f"{name}={column}: there is no such column here{hint or '.'} Columns: {', '.join(names)}"
            )


def renamed(table: dict[str, Any], columns: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, Any]:
    """A table with columns given to fields; columns that are given away do not stay beside them.

    Args:
        table: fields, as far as they are known.
        columns: column by field.
        row: the row that the columns are read from.
    """
    if not columns:
        return table
    values = {name: value_at(row, column) for name, column in columns.items()}
    result = {name: value for name, value in table.items() if name not in columns.values()}
    for name, value in values.items():
        field_name, _, key = name.partition(".")
        if not key:
            result[field_name] = value
        elif value is not None:
            inner = result.get(field_name)
            result[field_name] = {**(inner if isinstance(inner, dict) else {}), key: value}
    return result


_ABSENT = object()


def _has(table: Mapping[str, Any], column: str) -> bool:
    return _find(table, column) is not _ABSENT


def value_at(table: Mapping[str, Any], column: str) -> Any:
    """The value of a column; a name with dots that is no column of its own leads into objects and lists."""
    value = _find(table, column)
    return None if value is _ABSENT else value


def _find(table: Mapping[str, Any], column: str) -> Any:
    if column in table:
        return table[column]
    value: Any = table
    for step in column.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _ABSENT
    return value
