"""A table of figures for a terminal, with a column for each reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer_client._printable import printable
from trainer_client.result.figures import Figures

NONE = "-"
_GAP = 2
_LABEL = 32
_CELL = 24
_CODES_SHOWN = 12


@dataclass(slots=True)
class Grid:
    """A table of texts: a row for each figure, a column for each reward.

    Attributes:
        titles: one for each column.
        rows: name of the figure, and a text for each column.
    """

    titles: list[str]
    rows: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, name: str, cells: Sequence[str], *, after: str | None = None) -> None:
        """Add a row, at the end or after another; one that says nothing of any column is left out."""
        if all(cell == NONE for cell in cells):
            return
        places = [place for place, (row_name, _) in enumerate(self.rows) if row_name == after]
        row = [*cells, *[NONE] * (len(self.titles) - len(cells))]
        self.rows.insert(places[-1] + 1 if places else len(self.rows), (name, row))

    def widen(self, title: str, cells: Mapping[str, str]) -> None:
        """Add a column at the right, with texts by the name of the row."""
        self.titles.append(title)
        for name, row in self.rows:
            row.append(cells.get(name, NONE))

    def text(self, width: int | None = None) -> str:
        """The table as lines; where it is wider than ``width`` it goes on below, with the same rows.

        Args:
            width: columns of characters of the terminal; None where no terminal bounds it.
        """
        clip = (lambda text, limit: text) if width is None else _clip
        names = [clip(printable(name, line=True), _LABEL) for name, _ in self.rows]
        columns = [
            [clip(printable(cell, line=True), _CELL) for cell in (title, *(row[place] for _, row in self.rows))]
            for place, title in enumerate(self.titles)
        ]
        left = max(map(len, names), default=0)
        blocks: list[list[list[str]]] = [[]]
        used = left
        for column in columns:
            size = max(map(len, column)) + _GAP
            if width is not None and blocks[-1] and used + size > width:
                blocks.append([])
                used = left
            blocks[-1].append(column)
            used += size
        return "\n\n".join("\n".join(_lines(names, left, block)) for block in blocks)


def _lines(names: Sequence[str], left: int, block: Sequence[Sequence[str]]) -> list[str]:
    """The lines of some columns; a row that says nothing there is left out where others are."""
    sizes = [max(map(len, column)) for column in block]
    lines = []
    for place, name in enumerate(["", *names]):
        cells = [column[place] for column in block]
        if place and all(cell == NONE for cell in cells):
            continue
        padded = (" " * _GAP + cell.rjust(size) for cell, size in zip(cells, sizes, strict=True))
        lines.append((name.ljust(left) + "".join(padded)).rstrip())
    return lines


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def figure_cells(figures: Figures) -> dict[str, str]:
    """Texts of the figures of some values, by the names that rows of the table have."""
    return {
        "mean": figure(figures.mean),
        "std": figure(figures.std),
        "  within prompts": figure(figures.within),
        "  between prompts": figure(figures.between),
        "lowest": figure(figures.low),
        "highest": figure(figures.high),
    }


def add_figures(grid: Grid, columns: Sequence[Figures]) -> None:
    """Add rows about the values of columns: how they lie, and the best of k."""
    texts = [figure_cells(column) for column in columns]
    for name in texts[0]:
        grid.add(name, [text[name] for text in texts])
    sizes = sorted({max(column.best) for column in columns if column.best})
    # avg@k is the same for each k, and for values of 0 and 1 it is pass@1.
    name = f"avg@{sizes[-1]}" if sizes else "avg@1"
    grid.add(name, [figure(column.average) for column in columns])
    for kind, binary in (("pass", True), ("best", False)):
        for k in sorted({k for column in columns if column.binary is binary for k in column.best}):
            if k > 1 or binary:
                best_values = [column.best.get(k) if column.binary is binary else None for column in columns]
                grid.add(f"{kind}@{k}", [figure(value) for value in best_values])


def add_counts(grid: Grid, kind: str, counts: Sequence[Mapping[str, int]]) -> None:
    """Add rows that count, the most frequent first; the rare ones share a row."""
    totals: dict[str, int] = {}
    for counts_of_column in counts:
        for code, count in counts_of_column.items():
            totals[code] = totals.get(code, 0) + count
    codes = sorted(totals, key=lambda code: -totals[code])
    for code in codes[:_CODES_SHOWN]:
        grid.add(f"{kind} {code}".strip(), [str(count[code]) if code in count else NONE for count in counts])
    if further := codes[_CODES_SHOWN:]:
        left = [sum(count.get(code, 0) for code in further) for count in counts]
        grid.add(f"{kind} ({len(further)} other codes)".strip(), [str(count) if count else NONE for count in left])


def figure(value: float | None) -> str:
    """A number for the table."""
    return NONE if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """A time for the table."""
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"
