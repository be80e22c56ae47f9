"""Tables as answers: Markdown, CSV, TSV or JSON records beside the right table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any, Literal

from pydantic import Field

from reward_servers import CallerError, DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.text import Form, fenced, strict_json
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_FORM = Form(case=False, whitespace="collapse", punctuation=True, compatibility=False)
_RULE = re.compile(r"\s*\|?\s*:?-{1,}:?\s*(?:\|\s*:?-{1,}:?\s*)*\|?\s*")
_PIPE = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_MOST = 20_000
_LONGEST = 100
_EXACT = Context(prec=2 * _LONGEST)

Table = tuple[list[str], list[list[str]]]


class TableReference(Reference):
    """The right table."""

    answer: str | list[dict[str, Any]] = Field(
        min_length=1, description="Markdown, CSV or TSV with a header, or a list of records."
    )


class TableOptions(AnswerOptions):
    """How rows are identified, and which metric is the score."""

    key: tuple[str, ...] = Field(
        (), description="Columns that name a row; the first column of the right table, if none."
    )
    metric: Literal["cells", "rows", "exact"] = Field(
        "cells", description="F1 over cells by row and column; F1 over whole rows; or whether all rows are the same."
    )
    ordered: bool = Field(False, description="Whether the order of rows counts, for metric = 'exact'.")


def _markdown(text: str) -> Table | None:
    """The last table of Markdown in a text."""
    lines = text.splitlines()
    rules = [n for n, line in enumerate(lines) if n and "|" in lines[n - 1] and "-" in line and _RULE.fullmatch(line)]
    if not rules:
        return None
    rows = [_cells(lines[rules[-1] - 1])]
    for line in lines[rules[-1] + 1 :]:
        if "|" not in line:
            break
        rows.append(_cells(line))
    return rows[0], rows[1:]


def _cells(line: str) -> list[str]:
    line = line.strip()
    parts = _PIPE.split(line[1:] if line.startswith("|") else line)
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return [part.replace("\\|", "|").strip() for part in parts]


def _separated(text: str) -> Table | None:
    """A text that is CSV or TSV as a whole."""
    first = text.strip().partition("\n")[0]
    sign = next((separator for separator in ("\t", ",", ";") if separator in first), None)
    if sign is None:
        return None
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text.strip()), delimiter=sign) if row]
    except csv.Error:
        return None
    return rows[0], rows[1:]


def _records(text: str) -> Table | None:
    try:
        return _of_records(strict_json(text))
    except (ValueError, RecursionError):
        return None


def _of_records(records: Any) -> Table | None:
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        return None
    header = list(dict.fromkeys(str(name) for record in records for name in record))
    return header, [
        ["" if record.get(name) is None else str(record.get(name)) for name in header] for record in records
    ]


def _read(text: str) -> Table | None:
    blocks = fenced(text)
    body = blocks[-1] if blocks else text
    return _records(body) or _markdown(body) or _separated(body)


def _normal(cell: str) -> str:
    """A cell in the form in which it is compared: numbers by their value, texts without case and blanks."""
    text = _FORM.of(cell)
    if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
        return str(Decimal(text.replace(",", "")).normalize(_EXACT))
    return text


def _rows(table: Table, name: str) -> list[dict[str, str]] | None:
    """Rows by the normal names of their columns; None for a table that has no such form."""
    header, rows = [_FORM.of(name) for name in table[0]], table[1]
    if len(set(header)) != len(header) or not all(header) or any(len(row) != len(header) for row in rows):
        return None
    if len(header) * len(rows) > _MOST:
        raise OverflowError(name)
    return [dict(zip(header, map(_normal, row), strict=True)) for row in rows]


def _triples(rows: Sequence[dict[str, str]], key: Sequence[str]) -> Counter[tuple[tuple[str, ...], str, str]]:
    keyed = [(tuple(row.get(name, "") for name in key), row) for row in rows]
    return Counter(
        (name, column, value)
        for name, row in keyed
        for column, value in row.items()
        if column not in key or len(row) == 1
    )


def _f1(counts: Counter[Any], right_counts: Counter[Any]) -> float:
    total = sum(counts.values()) + sum(right_counts.values())
    return 2 * sum((counts & right_counts).values()) / total if total else 1.0


@verifier(
    "table",
    version="1",
    limits=ItemLimits(response_bytes=1 << 18),
    aspects=dict.fromkeys(("cells", "rows", "header"), 0.0),
)
def table(rollout: Rollout, ref: TableReference, options: TableOptions) -> Score:
    """How well a table meets the right one: cells found by the key of their row and the name of their column.

    Source: the F1 over triples of row header, column header and value of Text-to-Table (arXiv 2109.02707).
    """
    reference_table = _read(ref.answer) if isinstance(ref.answer, str) else _of_records(ref.answer)
    try:
        right = _rows(reference_table, "reference") if reference_table is not None else None
    except OverflowError:
        right = None
    if not right:
        raise DatasetError(f"reference.answer: not a table of at most {_MOST} cells with different column names")
    key = [_FORM.of(name) for name in options.key] or list(right[0])[:1]
    if missing := [name for name in key if name not in right[0]]:
        raise CallerError(f"options.key: the right table has no column {missing[0]!r}", code="invalid_options")
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    table_text = _read(answer)
    if table_text is None:
        return Score.floor("malformed", "no table of Markdown, CSV, TSV or JSON records")
    try:
        answer_rows = _rows(table_text, "response")
    except OverflowError:
        return Score.floor("limit", f"more than {_MOST} cells")
    if answer_rows is None:
        return Score.floor("malformed", "rows of different lengths, or columns of one name")
    row_sets = [[frozenset(row.items()) for row in rows] for rows in (answer_rows, right)]
    aspects = {
        "cells": _f1(_triples(answer_rows, key), _triples(right, key)),
        "rows": _f1(Counter(row_sets[0]), Counter(row_sets[1])),
        "header": _f1(Counter(map(_FORM.of, table_text[0])), Counter(list(right[0]))),
    }
    is_same = row_sets[0] == row_sets[1] if options.ordered else Counter(row_sets[0]) == Counter(row_sets[1])
    return Score(float(is_same) if options.metric == "exact" else aspects[options.metric], aspects=aspects)
