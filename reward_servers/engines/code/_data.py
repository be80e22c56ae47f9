"""Results of calls as plain data, for comparison with what JSON can say.

as_data       arrays, tables, nodes and objects with fields as lists and dicts
typed         an argument as the type that a reference gives: `ListNode`, `TreeNode`, or lists of them
TYPES         these types
"""

from __future__ import annotations

from typing import Any

from reward_servers.engines.code._guest import plain

TYPES = ("ListNode", "TreeNode", "list[ListNode]", "list[TreeNode]")


def as_data(data: Any) -> Any:
    """Wire form of a value with nothing in it but plain data.

    Args:
        data: From the program, in whatever form.

    Raises:
        NotPlainError: A part is malformed.
        RecursionError: It is nested too deeply.
    """
    if isinstance(data, list):
        return [as_data(item) for item in data]
    if not isinstance(data, dict) or data.keys() != {"$", "v"}:
        return data
    tag, inner = data["$"], data["v"]
    try:
        if tag == "ndarray":
            _, shape, flat = inner
            return _nested([as_data(item) for item in flat], list(shape))
        if tag == "Series":
            return as_data(inner[2][1])
        if tag == "DataFrame":
            _, names, columns = inner
            pairs = zip(names[3], columns, strict=True)
            return {"$": "dict", "v": [[as_data(name), as_data(column[1])] for name, column in pairs]}
        if tag in ("record", "nodes"):
            return as_data(inner[1])
        if tag == "fields":
            return {"$": "tuple", "v": as_data(inner[2])}
        if tag == "Timestamp":
            return inner
    except (LookupError, TypeError, ValueError) as error:
        raise plain.NotPlainError(f"malformed {tag}: {type(error).__name__}") from None
    if tag == "dict" and isinstance(inner, list):
        return {"$": "dict", "v": [as_data(pair) for pair in inner]}
    return {"$": tag, "v": as_data(inner)} if isinstance(inner, list) else data


def _nested(flat: list[Any], shape: list[int]) -> Any:
    """The members of an array as lists in lists."""
    size = 1
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError("shape")
        size *= length
    if size != len(flat) or len(shape) > plain.MAX_DEPTH:
        raise ValueError("shape")
    if not shape:
        return flat[0]
    for length in reversed(shape[1:]):
        if length == 0:
            return [[] for _ in range(shape[0])] if len(shape) == 2 and shape[0] <= plain.MAX_DEPTH else []
        flat = [flat[start : start + length] for start in range(0, len(flat), length)]
    return flat


def typed(value: Any, kind: str | None) -> Any:
    """Wire form of an argument of a type that JSON has no word for."""
    if kind is None or value is None:
        return plain.encode(value)
    if kind.startswith("list["):
        return [typed(item, kind[5:-1]) for item in value]
    return {"$": "nodes", "v": [kind, [plain.encode(item) for item in value]]} if value else None


def comparable(value: Any, kind: str | None) -> Any:
    """A result or an expected value of such a type, in the one form that is compared."""
    if kind is None:
        return value
    if kind.startswith("list["):
        return [comparable(item, kind[5:-1]) for item in value] if isinstance(value, list) else value
    if value is None:
        return []
    if kind == "TreeNode" and isinstance(value, list):
        end = len(value)
        while end and value[end - 1] is None:
            end -= 1
        return value[:end]
    return value
