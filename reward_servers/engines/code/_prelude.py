"""Names that programs find without importing them.

Collections of functions to be completed differ in what stands above the program when it runs: nothing (MBPP), the
imports of the prompt (HumanEval), a whole list of them and the classes of nodes (LeetCode, LiveCodeBench). A prelude is
`none`, `leetcode`, or Python source. By default, `auto`, a class `Solution` gets `leetcode` and any other program the
names of `typing`, which later versions of Python do not look up at all. Whatever the program defines comes first.
"""

from __future__ import annotations

import functools
import importlib
import importlib.resources
import typing

from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._guest import driver_source
from reward_servers.engines.code._names import free_names, top_names
from reward_servers.engines.code._syntax import UnparsableError, parse

NAMED = ("auto", "none", "leetcode")
NODES = frozenset(("ListNode", "TreeNode"))
# In this order: the first module that has a name gives it.
_STARRED = (
    "typing",
    "collections",
    "functools",
    "itertools",
    "heapq",
    "bisect",
    "math",
    "string",
    "operator",
    "random",
    "copy",
    "statistics",
    "datetime",
    "re",
)
_MODULES = (*_STARRED, "sys", "io", "json", "os", "time", "array", "decimal", "fractions")
_SORTED = ("SortedList", "SortedDict", "SortedSet")
_RECURSION = 50_000
_HELPERS = """
def list_node(values):
    head = None
    for value in reversed(list(values)):
        head = ListNode(value, head)
    return head

def is_same_list(one, other):
    seen = 0
    while one is not None and other is not None and seen < 1000000:
        if one.val != other.val:
            return False
        one, other, seen = one.next, other.next, seen + 1
    return one is None and other is None

def tree_node(values):
    values = list(values)
    if not values:
        return None
    root = TreeNode(values[0])
    row, place = [root], 1
    for node in row:
        for side in ("left", "right"):
            if place < len(values) and values[place] is not None:
                setattr(node, side, TreeNode(values[place]))
                row.append(getattr(node, side))
            place += 1
    return root

def is_same_tree(one, other):
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        if one is None or other is None:
            if one is not other:
                return False
            continue
        if one.val != other.val or len(pairs) > 1000000:
            return False
        pairs += [(one.left, other.left), (one.right, other.right)]
    return True
"""
_HELPER_NAMES = frozenset(("list_node", "is_same_list", "tree_node", "is_same_tree"))


@functools.cache
def _leetcode() -> dict[str, str]:
    """Module of each name of the set."""
    names = dict.fromkeys(_MODULES, "")
    names |= dict.fromkeys(NODES, ".") | dict.fromkeys(_SORTED, "sortedcontainers")
    for module in _STARRED:
        loaded = importlib.import_module(module)
        for name in getattr(loaded, "__all__", dir(loaded)):
            if not name.startswith("_"):
                names.setdefault(name, module)
    return names


def check_prelude(prelude: str, field: str) -> str:
    """A prelude that can be used.

    Raises:
        BadReferenceError: It is neither a known name nor Python.
    """
    if prelude not in NAMED:
        try:
            parse(prelude)
        except UnparsableError as error:
            choices = ", ".join(NAMED)
            raise BadReferenceError(field, f"does not compile: {error}", f"Give {choices} or Python source") from None
    return prelude


def prelude_driver(prelude: str, source: bytes, *, nodes: bool) -> bytes:
    """What runs before a program: the part of a driver that adds the names which it lacks.

    Args:
        prelude: As above.
        source: The program.
        nodes: Whether it is going to meet linked lists or trees.
    """
    text = source.decode("utf-8", "replace")
    try:
        missing = free_names(text)
    except UnparsableError:
        return b""  # the compiler will say so
    leetcode = prelude == "leetcode" or (prelude == "auto" and "Solution" in top_names(text))
    names: dict[str, str] = {}
    if leetcode:
        names = {name: module for name, module in _leetcode().items() if name in missing or (nodes and module == ".")}
    elif prelude == "auto":
        names = dict.fromkeys(missing.intersection(typing.__all__), "typing")
    own = "" if prelude in NAMED else prelude
    if not names and not own and not leetcode:
        return b""
    header = f"given = {names!r}, {own!r}, {_RECURSION if leetcode else 0}\n"
    return header.encode() + driver_source("prelude", codec=False) + b"\n"


def node_helpers(prelude: str, names_needed: frozenset[str]) -> tuple[frozenset[str], str]:
    """Helpers for linked lists and trees that test code uses without defining them, with their source.

    They are trusted and run beside the tests: built by the program, an expected list would be known to it.
    """
    if prelude != "leetcode" and not names_needed & _HELPER_NAMES:
        return frozenset(), ""
    names = names_needed & (_HELPER_NAMES | NODES)
    if not names:
        return frozenset(), ""
    text = (importlib.resources.files("reward_servers.engines.code._guest") / "prelude.py").read_text("utf-8")
    classes = text.partition('_NODES = """')[2].partition('"""')[0]
    return names, f"{classes}\n{_HELPERS}"
