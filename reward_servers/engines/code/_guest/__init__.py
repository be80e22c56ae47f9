"""Source that is executed inside the sandbox, as drivers next to foreign code or trusted test code.

The engine reads these files as text and sends them along (`driver_source`); of them it imports only `plain`, the
codec of the data that crosses the border. They use the standard library only.
"""

from __future__ import annotations

import ast
import functools
from importlib import resources

from reward_servers.engines.text import parse_python


@functools.cache
def driver_source(*names: str, codec: bool = True) -> bytes:
    """Text of a driver: the codec and its library, then the named files, in one module.

    Args:
        names: Files of this package without their ending, in order.
        codec: Whether the codec comes before them.
    """
    module = parse_python("from __future__ import annotations" if codec else "")
    for name in (*(("plain", "library") if codec else ()), *names):
        text = resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
        for node in parse_python(text).body:
            is_own_import = isinstance(node, ast.ImportFrom) and str(node.module).startswith(
                ("__future__", "reward_servers")
            )
            if not is_own_import and not _is_text(node):
                module.body.append(node)
    for inner in ast.walk(module):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # The text is compiled beside every program, so it had better be short.
            inner.body = [part for part in inner.body if not _is_text(part)] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(module)).encode()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
