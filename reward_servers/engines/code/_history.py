"""Assertions that only mean something after earlier ones, because they speak of the same thing.

    History   which earlier tests of a module have to run before a test

Each assertion at the top is a test and starts from a fresh process. `assert stack.pop() == 2` changes what a later
assertion about `stack` finds, and `assert sort(xs) is None` what one about `xs` finds, so there the earlier one runs
first. Assertions that call the program again are kept apart, so that one failure costs no other test.
"""

from __future__ import annotations

import ast

from reward_servers.engines.code._names import free_names, imported_names

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class History:
    """Looks at the statements of a module in order.

    Args:
        module: The test code.
    """

    def __init__(self, module: ast.Module) -> None:
        self._body = module.body
        self._program = free_names(ast.unparse(module)) | imported_names(module)
        self._functions = {node.name for node in module.body if isinstance(node, _DEFINITIONS)}
        self._data: set[str] = set()
        self._objects: set[str] = set()
        self._seen = 0
        self._tests: dict[int, set[int]] = {}

    def needed_by(self, index: int) -> set[int]:
        """Numbers of the earlier tests that have to run before the one at `index`, asked for in order."""
        for statement in self._body[self._seen : index]:
            self._data |= _bound(statement)
            if _names(statement, ast.Load) & (self._program | self._objects):
                self._objects |= _bound(statement)
        self._seen = index
        names = _names(self._body[index], ast.Load)
        used, objects = names & self._data, names & self._objects
        asks = bool(names & (self._program | self._functions))
        needed: set[int] = set()
        for earlier, before in self._tests.items():
            touched = _touched(self._body[earlier])
            if touched & objects or (not asks and not objects and touched & used):
                needed |= {earlier, *before}
        self._tests[index] = needed
        return needed


def _names(statement: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement at the top gives a value; a function or class holds none until it is called."""
    return set() if isinstance(statement, _DEFINITIONS) else _names(statement, ast.Store)


def _touched(statement: ast.stmt) -> set[str]:
    """Names whose values the calls of a statement may change."""
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return set().union(*(_names(call, ast.Load) for call in calls))
