"""Parsing of Python text that came from elsewhere."""

from __future__ import annotations

import ast
import symtable
import warnings

from reward_servers.engines.text import parse_python

_FILE = "<foreign>"
# The parser warns about odd but valid text ("\d", `is` with a literal) by way of the process-wide filters. What
# foreign text looks like does not matter here, so warnings about this file name are switched off for good.
warnings.filterwarnings("ignore", module=f"{_FILE}$")


class UnparsableError(ValueError):
    """The text is no Python; the message says why."""


def parse(code: str) -> ast.Module:
    """Syntax tree of some text.

    Raises:
        UnparsableError: It has none.
    """
    try:
        return parse_python(code, filename=_FILE)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnparsableError(f"{type(error).__name__}: {error}") from None


def symbols(code: str) -> symtable.SymbolTable:
    """Names of some text by scope.

    Raises:
        UnparsableError: It has none.
    """
    try:
        return symtable.symtable(code, _FILE, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnparsableError(f"{type(error).__name__}: {error}") from None
