"""What commands print for people. Results go to stdout, progress and remarks to stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from trainer_client._printable import printable


class Advance(Protocol):
    """Tells a progress bar how much more is done."""

    def __call__(self, count: int) -> None:
        """Add to what is done."""


def print_note(text: str) -> None:
    """Print a line to stderr."""
    print(printable(text, line=True), file=sys.stderr, flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: fitted to a terminal, and whole where there is none."""
    columns, rows = ([*map(_cell, columns)], [[*map(_cell, row)] for row in rows])
    if not sys.stdout.isatty():
        # What another program reads must not be folded to the width of a terminal that is not there.
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, since brackets in a code or a path are not markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _cell(text: str) -> str:
    return printable(text, line=True)


def terminal_width() -> int | None:
    """Characters on a line of the terminal that stdout is; None where it is none and nothing must be folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def progress(total: int, what: str) -> Iterator[Advance]:
    """Show a progress bar on stderr while the block runs; nothing when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, advance=count)
