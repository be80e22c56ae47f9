"""What commands print for people. Results go to stdout, progress and remarks to stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

_FIRST_LINE = 10.0
"""Seconds without progress after which a line says what is waited for."""


class Progress(Protocol):
    """What a command tells while it works."""

    def __call__(self, count: int) -> None:
        """Add to what is done."""

    def explain(self, text: str) -> None:
        """Say what is waited for; empty when nothing is."""


def printable(text: str, *, line: bool = False) -> str:
    """Text of others as a terminal may show it: see `trainer_client._printable`, which is loaded when it is needed."""
    from trainer_client._printable import printable as on_terminal

    return on_terminal(text, line=line)


def print_line(text: str) -> None:
    """Print a line to stdout."""
    print(printable(text, line=True))


def print_note(text: str) -> None:
    """Print a line to stderr."""
    print(printable(text, line=True), file=sys.stderr, flush=True)


def json_text(value: Any, encoding: str | None, *, indent: int | None = None) -> str:
    """Write a value as JSON for a stream of an encoding: characters that it lacks are escaped as JSON does."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON to stdout."""
    print(json_text(value, sys.stdout.encoding, indent=indent))


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


class _Quiet:
    """Progress where stderr is no terminal: long waits in lines, each twice as far apart as the one before."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._pause = _FIRST_LINE

    def __call__(self, count: int) -> None:
        self._began, self._pause = time.monotonic(), _FIRST_LINE

    def explain(self, text: str) -> None:
        if text and time.monotonic() - self._began >= self._pause:
            self._pause *= 2
            print_note(text)


class _Bar:
    """Progress on a terminal."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def __call__(self, count: int) -> None:
        self._bar.update(self._task, advance=count, wait="")

    def explain(self, text: str) -> None:
        self._bar.update(self._task, wait=printable(text, line=True))


@contextmanager
def progress(total: int | None, label: str) -> Iterator[Progress]:
    """Show a progress bar on stderr while the block runs; without a terminal only long waits are told, in lines.

    Args:
        total: How much there is; None where that is not known.
        label: What is done.
    """
    if not sys.stderr.isatty():
        yield _Quiet()
        return
    from rich import progress as parts
    from rich.console import Console

    bar = parts.Progress(
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeElapsedColumn(),
        parts.TimeRemainingColumn(),
        parts.TextColumn("{task.fields[wait]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        yield _Bar(bar, bar.add_task(label, total=total, wait=""))
