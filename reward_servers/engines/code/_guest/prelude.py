"""Names that a program finds without importing them, where its tests promise it: see `_prelude` of the engine.

They are added to the built-ins, so that whatever the program defines itself comes first.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    given: tuple[dict[str, str], str, int] = ({}, "", 0)

_NODES = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right
"""


def provide(names: dict[str, str], source: str, recursion: int) -> None:
    """Add names to the built-ins.

    Args:
        names: Module of each name; an empty one means the module of that name itself, a dot the nodes below.
        source: Further definitions.
        recursion: The limit of recursion, 0 to leave it.
    """
    namespace: dict[str, Any] = {"__name__": "prelude"}
    if "." in names.values():
        exec(_NODES, namespace)  # noqa: S102
    if source:
        exec(compile(source, "<prelude>", "exec"), namespace)  # noqa: S102
    for name, module in names.items():
        if module != ".":
            try:
                module_found = importlib.import_module(module or name)
            except ImportError:
                continue  # the program then lacks it, as everywhere
            namespace[name] = getattr(module_found, name) if module else module_found
    for name, value in namespace.items():
        if not name.startswith("_") and not hasattr(builtins, name):
            setattr(builtins, name, value)
    if recursion:
        sys.setrecursionlimit(recursion)


provide(*given)
