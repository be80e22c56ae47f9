"""Rows of parquet and Arrow files, in parts of a few hundred so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import IO, Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._row import Row, arrow, check_names

_PART = 256
_UNREADABLE = (ValueError, OverflowError, RecursionError)
"""What a value raises that Python has no form of: a date beyond the year 9999, a text that is not UTF-8."""


def parquet_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of a parquet file."""
    package = arrow(place)
    from pyarrow import parquet

    try:
        # Columns are read as they are needed: a row group may be larger than memory.
        file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        check_names(file.schema_arrow.names, place)
        yield from _rows(file.iter_batches(batch_size=_PART))
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "parquet", error) from None


def arrow_file_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of an Arrow file with an index (Feather)."""
    package = arrow(place)
    try:
        file = package.ipc.open_file(stream)
        check_names(file.schema.names, place)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
        yield from _rows(batches)
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "Arrow", error) from None


def arrow_stream_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of an Arrow stream, as ``datasets`` saves it."""
    package = arrow(place)
    try:
        with package.ipc.open_stream(stream) as batches:
            check_names(batches.schema.names, place)
            yield from _rows(batches)
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "Arrow", error) from None


def _damaged(place: str, kind: str, error: Exception) -> RolloutError:
    return RolloutError(f"{place}: the {kind} file is damaged or ends early ({error})")


def _rows(batches: Any) -> Iterator[Row]:
    numbers = count(1)
    for batch in batches:
        for start in range(0, batch.num_rows, _PART):
            part = batch.slice(start, _PART)
            try:
                tables = part.to_pylist()
            except _UNREADABLE:
                yield from (_alone(part, row, next(numbers)) for row in range(part.num_rows))
                continue
            for table in tables:
                yield Row(next(numbers), "row", {name: json_value(value) for name, value in table.items()})


def _alone(part: Any, row: int, number: int) -> Row:
    """A row of a part in which a value cannot be read."""
    table = {}
    for name, column in zip(part.schema.names, part.columns, strict=True):
        try:
            table[name] = json_value(column[row].as_py())
        except _UNREADABLE as error:
            return Row(number, "row", None, f"{name}: cannot be read ({error})")
    return Row(number, "row", table)


def json_value(value: Any) -> Any:
    """A value as JSON holds it; NaN, with which tables mark what is missing, is null. Bytes stay as they are."""
    if value is None or isinstance(value, str | int | bytes):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, list):
        return [json_value(part) for part in value]
    if isinstance(value, dict):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [json_value(part) for part in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    # A decimal keeps its digits.
    return str(value) if isinstance(value, Decimal) else repr(value)
