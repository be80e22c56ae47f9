"""Python's own parser, used by one thread at a time."""

from __future__ import annotations

import ast
import threading

_LOCK = threading.Lock()
"""CPython before 3.13 counts the depth of a tree for all threads together: two at once may get `SystemError`."""


def parse_python(text: str, filename: str = "<unknown>") -> ast.Module:
    """Parse a module.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse`.
    """
    with _LOCK:
        return ast.parse(text, filename=filename)


def parse_expression(text: str) -> ast.Expression:
    """Parse an expression: see `parse_python`."""
    with _LOCK:
        return ast.parse(text, mode="eval")
