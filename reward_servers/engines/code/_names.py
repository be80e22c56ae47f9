"""Which names of test code are the program's."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterable

from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._syntax import UnparsableError, parse, symbols

_CAP_WORDS = re.compile(r"_*[A-Z][A-Za-z0-9]*\Z")
_OF_DATA = frozenset(name for kind in plain.BASES for name in dir(kind))

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

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


def top_names(source: str) -> frozenset[str]:
    """Names that a program binds at its top, whatever surrounds the statement there."""
    try:
        return frozenset(bindings(parse(source)))
    except UnparsableError:
        return frozenset()  # the compiler will say so


def bindings(module: ast.Module) -> dict[str, list[ast.stmt]]:
    """Name bound at the top of a module, with the statements that bind them."""
    by_name: dict[str, list[ast.stmt]] = {}
    for statement in module.body:
        for name in _bound_by(statement):
            by_name.setdefault(name, []).append(statement)
    return by_name


def _bound_by(node: ast.AST) -> Iterable[str]:
    if isinstance(node, _DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((item.asname or item.name).partition(".")[0] for item in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound_by(child)


def imported_names(module: ast.Module) -> frozenset[str]:
    """Names that statements at the top import from the program."""
    names = set()
    for node in module.body:
        if isinstance(node, ast.Import):
            names |= {item.asname or item.name.partition(".")[0] for item in node.names if candidate_module(item.name)}
        elif isinstance(node, ast.ImportFrom) and (node.level or candidate_module(node.module or "")):
            names |= {item.asname or item.name for item in node.names}
    return frozenset(names)


def class_names(code: str) -> frozenset[str]:
    """Names that code treats as classes: the test decides whether objects are expected, never the program.

    A name in CapWords is one, and so is any name with attributes, in `isinstance`, or of whose result an attribute is
    used that no plain data have.
    """
    module = parse(code)
    results_of: dict[str, set[str]] = {}  # name of a variable -> names whose results it holds
    reachable: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[first, second]):
                reachable |= {part.id for part in (first, *ast.walk(second)) if isinstance(part, ast.Name)}
            case ast.Attribute(value=ast.Name(id=name)):
                reachable.add(name)
            case ast.Attribute(value=ast.Call(func=called), attr=attribute) if attribute not in _OF_DATA:
                reachable.add(_last_name(called))
            case ast.Assign(targets=[target], value=ast.Call(func=called)):
                results_of.setdefault(_last_name(target), set()).add(_last_name(called))
            case ast.FunctionDef(name=name):
                for part in ast.walk(node):
                    if isinstance(part, ast.Return | ast.Yield) and isinstance(part.value, ast.Call):
                        results_of.setdefault(name, set()).add(_last_name(part.value.func))
        if isinstance(node, ast.Name | ast.Attribute):
            name = _last_name(node)
            reachable |= {name} if _CAP_WORDS.match(name) else set()
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr not in _OF_DATA:
            reachable |= results_of.get(_last_name(node.value), set())
    return frozenset((reachable | _handed(module, reachable)) - {""})


def _handed(module: ast.Module, classes: set[str]) -> set[str]:
    """Names that are given to functions of the code under a name that it treats so: `check(f)`."""
    parameters = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
    }
    handed: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in parameters:
            pairs = zip(parameters[node.func.id], node.args, strict=False)
            keywords = [(str(word.arg), word.value) for word in node.keywords]
            handed |= {_last_name(value) for name, value in (*pairs, *keywords) if name in classes}
    return handed


def _last_name(node: ast.expr) -> str:
    """The name, or the attribute at the end of it; empty for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
