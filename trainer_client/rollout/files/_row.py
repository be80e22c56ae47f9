"""A row of a file, and the package that reads columns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

from trainer_client._errors import RolloutError


class Row(NamedTuple):
    """A row as it is in its file.

    Attributes:
        number: its number, counted from 1.
        unit: what the file calls it: ``line``, ``row`` or ``entry``.
        table: values by column; None when it cannot be read.
        problem: why it cannot be read.
    """

    number: int
    unit: str
    table: dict[str, Any] | None
    problem: str = ""


def arrow(place: str) -> Any:
    """The package ``pyarrow``.

    Raises:
        RolloutError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise RolloutError(
            f"{place}: parquet, Arrow and zstd are read by pyarrow, which is not installed; pip install 'assay[files]'"
        ) from None
    return pyarrow


def numbered(unit: str, tables: Iterator[dict[str, Any]]) -> Iterator[Row]:
    """Rows of tables that can all be read."""
    numbers = count(1)
    for table in tables:
        yield Row(next(numbers), unit, table)
