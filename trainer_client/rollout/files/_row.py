"""A row of a file, and the package that reads columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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


def check_names(names: Sequence[str], place: str) -> None:
    """Refuse columns of the same name: which of them is meant is not known.

    Raises:
        RolloutError: there are some.
    """
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise RolloutError(f"{place}: the column {twice!r} occurs twice; give each column its own name")
