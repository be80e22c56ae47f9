"""Rows of parquet and Arrow files, in parts of a few hundred so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._row import Row, arrow, numbered

_PART = 256


def parquet_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of a parquet file."""
    package = arrow(place)
    from pyarrow import parquet

    try:
        # Columns are read as they are needed: a row group may be larger than memory.
        file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        yield from numbered("row", _tables(file.iter_batches(batch_size=_PART)))
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "parquet", error) from None


def arrow_file_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of an Arrow file with an index (Feather)."""
    package = arrow(place)
    try:
        file = package.ipc.open_file(stream)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
        yield from numbered("row", _tables(batches))
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "Arrow", error) from None


def arrow_stream_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Rows of an Arrow stream, as ``datasets`` saves it."""
    package = arrow(place)
    try:
        with package.ipc.open_stream(stream) as batches:
            yield from numbered("row", _tables(batches))
    except (package.ArrowException, OSError) as error:
        raise _damaged(place, "Arrow", error) from None


def _damaged(place: str, kind: str, error: Exception) -> RolloutError:
    return RolloutError(f"{place}: the {kind} file is damaged or ends early ({error})")


def _tables(batches: Any) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for start in range(0, batch.num_rows, _PART):
            for table in batch.slice(start, _PART).to_pylist():
                yield {name: json_value(value) for name, value in table.items()}


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
