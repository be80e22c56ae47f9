"""Which names of test code are the program's."""

from __future__ import annotations

import ast
import builtins
import sys

from reward_servers.engines.code._syntax import symbols

KNOWN_MODULES = frozenset(("pytest", "numpy", "scipy", "pandas", "sympy", "hypothesis"))


def free_names(code: str) -> frozenset[str]:
    """Names that code refers to and neither defines nor finds among the built-ins."""
    top = symbols(code)
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used: set[str] = set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        for symbol in table.get_symbols():
            outer = table is top or symbol.is_global()
            if outer and symbol.is_referenced():
                used.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                defined.add(symbol.get_name())
    return frozenset(used - defined - set(dir(builtins)) - {"__name__", "__file__"})


def candidate_module(name: str) -> bool:
    """Whether an import of the test code means the program: no module of that name is known."""
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in KNOWN_MODULES


def imported_names(module: ast.Module) -> frozenset[str]:
    """Names that statements at the top import from the program."""
    found = set()
    for node in module.body:
        if isinstance(node, ast.Import):
            found |= {item.asname or item.name.partition(".")[0] for item in node.names if candidate_module(item.name)}
        elif isinstance(node, ast.ImportFrom) and (node.level or candidate_module(node.module or "")):
            found |= {item.asname or item.name for item in node.names}
    return frozenset(found)
