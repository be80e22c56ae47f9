"""Which names of test code are the program's."""

from __future__ import annotations

import ast
import builtins
import re
import sys

from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._syntax import parse, symbols

_CAP_WORDS = re.compile(r"_*[A-Z][A-Za-z0-9]*\Z")
_OF_DATA = frozenset(name for kind in plain.BASES for name in dir(kind))

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


def class_names(code: str) -> frozenset[str]:
    """Names that code treats as classes: the test decides whether objects are expected, never the program.

    A name in CapWords is one, and so is any name with attributes, in `isinstance`, or of whose result an attribute is
    used that no plain data have.
    """
    module = parse(code)
    made: dict[str, set[str]] = {}  # name of a variable -> names whose results it holds
    found: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[first, second]):
                found |= {part.id for part in (first, *ast.walk(second)) if isinstance(part, ast.Name)}
            case ast.Attribute(value=ast.Name(id=name)):
                found.add(name)
            case ast.Attribute(value=ast.Call(func=called), attr=attribute) if attribute not in _OF_DATA:
                found.add(_last_name(called))
            case ast.Assign(targets=[target], value=ast.Call(func=called)):
                made.setdefault(_last_name(target), set()).add(_last_name(called))
            case ast.FunctionDef(name=name):
                for part in ast.walk(node):
                    if isinstance(part, ast.Return | ast.Yield) and isinstance(part.value, ast.Call):
                        made.setdefault(name, set()).add(_last_name(part.value.func))
        if isinstance(node, ast.Name | ast.Attribute):
            name = _last_name(node)
            found |= {name} if _CAP_WORDS.match(name) else set()
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr not in _OF_DATA:
            found |= made.get(_last_name(node.value), set())
    return frozenset(found - {""})


def _last_name(node: ast.expr) -> str:
    """The name, or the attribute at the end of it; empty for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
