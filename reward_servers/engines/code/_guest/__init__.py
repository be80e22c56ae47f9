"""Source that is executed inside the sandbox, as drivers next to foreign code or trusted test code.

The engine reads these files as text and sends them along (`driver_source`); of them it imports only `plain`, the
codec of the data that crosses the border. They use the standard library only.
"""

from __future__ import annotations

import ast
import functools
from importlib import resources


@functools.cache
def driver_source(*names: str) -> bytes:
    """Text of a driver: the codec, then the named files, in one module.

    Args:
        names: Files of this package without their ending, in order.
    """
    lines = ["from __future__ import annotations"]
    for name in ("plain", *names):
        text = resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
        kept = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("__future__", "reward_servers")):
                for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                    kept[number] = ""
        lines += kept
    return "\n".join(lines).encode()
