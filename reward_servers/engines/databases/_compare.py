"""Whether two tables are the same."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reward_servers.engines.databases._run import Table

_DIGITS = 10
_TRIES = 2_000
# What is in quotes, comments and brackets is skipped: none of these orders the result.
_TOKENS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|[()]|\w+|\S""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Equality:
    """Which differences between two tables count. Names of columns never do.

    Attributes:
        rows: ``bag``: how often a row occurs counts; ``set``: it does not.
        ordered: Whether the order of rows counts.
        columns: Whether the order of columns counts (``given``) or not (``any``).
        exact_types: Whether ``1``, ``1.0`` and true differ.
    """

    rows: Literal["bag", "set"] = "bag"
    ordered: bool = False
    columns: Literal["given", "any"] = "given"
    exact_types: bool = False


def same_table(left: Table, right: Table, equality: Equality) -> bool:
    """Whether two tables are the same; numbers are compared by ten significant digits.

    Sources: execution accuracy of BIRD (arXiv 2305.03111: ``rows='set'``) and of the distilled test suites for Spider
    (arXiv 2010.02840: ``columns='any'``, with order where the reference orders).
    """
    left_rows, right_rows = (
        [tuple(_key(value, equality) for value in row) for row in table] for table in (left, right)
    )
    if not left_rows or not right_rows:
        return not left_rows and not right_rows
    if len(left_rows[0]) != len(right_rows[0]):
        return False
    if equality.columns == "given":
        return _same(left_rows, right_rows, equality)
    return _some_order(left_rows, right_rows, equality)


def is_ordered(query: str) -> bool:
    """Whether a query orders its result: ``ORDER BY`` outside of brackets, quotes and comments."""
    depth, before = 0, ""
    for word in _TOKENS.findall(query):
        depth += (word == "(") - (word == ")")
        if depth == 0 and before == "order" and word.lower() == "by":
            return True
        before = word.lower()
    return False


def _same(rows: Sequence[tuple[Hashable, ...]], right_rows: Sequence[tuple[Hashable, ...]], equality: Equality) -> bool:
    if equality.ordered and equality.rows == "set":
        return list(dict.fromkeys(rows)) == list(dict.fromkeys(right_rows))
    if equality.ordered:
        return list(rows) == list(right_rows)
    return set(rows) == set(right_rows) if equality.rows == "set" else Counter(rows) == Counter(right_rows)


def _some_order(
    rows: Sequence[tuple[Hashable, ...]], right_rows: Sequence[tuple[Hashable, ...]], equality: Equality
) -> bool:
    """Whether the tables are the same for some order of our columns: column by column, with a way back."""
    width, tries = len(right_rows[0]), 0
    columns = list(zip(*rows, strict=True))

    def extend(chosen: tuple[int, ...]) -> bool:
        nonlocal tries
        if len(chosen) == width:
            return True
        right = [row[: len(chosen) + 1] for row in right_rows]
        tried: set[tuple[Hashable, ...]] = set()
        for place in range(width):
            if place in chosen or columns[place] in tried or tries >= _TRIES:
                continue
            tries += 1
            tried.add(columns[place])
            part = [tuple(row[c] for c in (*chosen, place)) for row in rows]
            if _same(part, right, equality) and extend((*chosen, place)):
                return True
        return False

    return extend(())


def _key(value: Any, equality: Equality) -> Hashable:
    """A value of which two are equal where no difference counts."""
    kind = type(value).__name__
    if isinstance(value, list):
        kind, content = value
        if kind == "list":
            return (kind, tuple(_key(item, equality) for item in content))
        if kind != "number":
            return (kind, content)
        value, kind = float(content), "decimal"
    if value is None or isinstance(value, str):
        return ("text", value)
    if not math.isfinite(value):
        return ("number", repr(value))
    number = value if isinstance(value, int) and abs(value) >= 10**_DIGITS else float(f"{value:.{_DIGITS}g}")
    return (kind, repr(number)) if equality.exact_types else ("number", number)
