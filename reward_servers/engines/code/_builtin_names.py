"""Tests of functions that carry the name of a built-in: `assert max(1, 2) == 2` may ask the program for `max`.

    subjects   for each test, the names of built-ins that it asks of the program

Which names these are is read from the test code alone, never from the program: a program that redefines `abs` must not
decide the tests that merely use it. A test that speaks of anything else of the program means the built-ins themselves.
One that does not can only be about a built-in's name: the one that all such tests call, functions before types, and
the innermost one where calls are nested (`abs(pow(2, 3) - 8) < 1e-9` is about `pow`).
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence

from reward_servers.engines.code._collect import CollectedTest
from reward_servers.engines.code._names import bindings

_CALLABLE = frozenset(name for name in dir(builtins) if callable(getattr(builtins, name)) and name[0] != "_")
_TYPES = frozenset(name for name in _CALLABLE if isinstance(getattr(builtins, name), type))
_EXCEPTIONS = frozenset(name for name in _TYPES if issubclass(getattr(builtins, name), BaseException))
_SUBJECTS = _CALLABLE - _EXCEPTIONS


def subjects(module: ast.Module, tests: Sequence[CollectedTest], program: frozenset[str]) -> list[frozenset[str]]:
    """Names of built-ins that each test asks of the program; empty for a test that asks it for something else.

    Args:
        module: The test code.
        tests: Its tests.
        program: Names that are the program's anyway.
    """
    bound = bindings(module)
    silent = []
    for test in tests:
        nodes = _reached(test, module, bound)
        silent.append(None if _names(nodes) & program else nodes)
    called = [_called(nodes, bound) for nodes in silent if nodes is not None]
    called = [names for names in called if names]
    if not called:
        return [frozenset()] * len(tests)
    common = frozenset.intersection(*called) or frozenset.union(*called)
    common = common - _TYPES or common
    inner = frozenset(name for nodes in silent if nodes is not None for name in _innermost(nodes, common)) or common
    return [frozenset() if nodes is None else inner & _called(nodes, bound) for nodes in silent]


def _reached(test: CollectedTest, module: ast.Module, bound: dict[str, list[ast.stmt]]) -> list[ast.AST]:
    """The statements of a test and all that they refer to at the top, test classes as a whole."""
    owner = test.selection.owner
    reached: list[ast.AST] = [*test.body]
    if owner is not None:
        reached += [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == owner]
    visited: set[str] = set()
    for node in reached:  # grows meanwhile
        for name in _names([node]) - visited:
            visited.add(name)
            reached += bound.get(name, ())
    return reached


def _names(nodes: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name))


def _is_subject(node: ast.AST, among: frozenset[str]) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in among


def _called(nodes: Iterable[ast.AST], bound: dict[str, list[ast.stmt]]) -> frozenset[str]:
    """Built-ins that code calls; where it hands some to a function of its own (`check(max)`), only these."""
    called: set[str] = set()
    handed: set[str] = set()
    for call in (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)):
        if _is_subject(call.func, _SUBJECTS - bound.keys()):
            called.add(call.func.id)  # type: ignore[attr-defined]
        elif isinstance(call.func, ast.Name) and call.func.id in bound:
            handed.update(
                part.id  # type: ignore[attr-defined]
                for part in (*call.args, *(word.value for word in call.keywords))
                if _is_subject(part, _SUBJECTS - bound.keys())
            )
    return frozenset(handed or called)


def _innermost(nodes: Iterable[ast.AST], names: frozenset[str]) -> Iterable[str]:
    """Those names whose calls hold no call of another one."""
    for call in (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)):
        if not _is_subject(call.func, names):
            continue
        inside = (part for argument in (*call.args, *call.keywords) for part in ast.walk(argument))
        if not any(isinstance(part, ast.Call) and _is_subject(part.func, names) for part in inside):
            yield call.func.id  # type: ignore[attr-defined]
