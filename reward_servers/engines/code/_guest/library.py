"""Values of libraries and small objects on the wire, where both sides are sandboxes: arrays, tables, nodes, names.

    ndarray, Series, DataFrame, Timestamp   of numpy and pandas, by value
    nodes                                   linked lists and binary trees of `ListNode` and `TreeNode`, by value
    record                                  an object with fields: a dataclass
    named                                   classes and functions of the standard library, by name

Importing this file adds them to `plain`.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from reward_servers.engines.code._guest.plain import NotPlainError, Other, decode, decoders, encode, encoders

_MOST_NODES = 100_000
_LISTS, _TREES = ("val", "next"), ("val", "left", "right")
_NAMED_MODULES = frozenset(
    ("builtins", "collections", "datetime", "decimal", "fractions", "functools", "itertools", "math", "operator")
)
_WITHHELD = frozenset(("breakpoint", "compile", "eval", "exec", "exit", "globals", "input", "locals", "open", "quit"))
scopes: list[dict[str, Any]] = []
"""Where the classes `ListNode` and `TreeNode` of this side are looked up."""


# Arrays and tables


def _array(value: Any, depth: int, other: Other) -> Any:
    kind = value.dtype.kind
    if kind in "mM":
        value, name = value.view("int64"), value.dtype.str
    elif kind in "biufcUSO":
        name = value.dtype.str
    else:
        raise NotPlainError(f"an array of {value.dtype} is no plain data")
    flat = value.ravel().tolist()
    return {"$": "ndarray", "v": [name, list(value.shape), [encode(item, depth + 1, other) for item in flat]]}


def _column(values: Any, depth: int, other: Other) -> list[Any]:
    """Type and members of a column or an index."""
    name = str(values.dtype)
    if values.dtype.kind in "biufc" and hasattr(values.dtype, "itemsize"):
        return [name, [encode(item, depth, other) for item in values.tolist()]]
    return [name, [_cell(item, depth, other) for item in values.tolist()]]


def _cell(item: Any, depth: int, other: Other) -> Any:
    if item is None or (type(item).__module__.startswith("pandas") and item != item):
        return None  # NaT; NA has no truth, but is itself in lists of objects
    if type(item).__name__ == "NAType":
        return None
    return encode(item, depth, other)


def _index(index: Any, depth: int, other: Other) -> list[Any]:
    names = [encode(name, depth, other) for name in index.names]
    return [index.nlevels > 1, names, *_column(index, depth, other)]


def _encode_table(value: Any, depth: int, other: Other) -> Any:
    name = type(value).__name__
    if name == "Timestamp":
        return {"$": "Timestamp", "v": value.isoformat()}
    if name == "Series":
        body = [_index(value.index, depth + 1, other), encode(value.name, depth, other)]
        return {"$": "Series", "v": [*body, _column(value, depth + 1, other)]}
    if name == "DataFrame":
        columns = [_column(value.iloc[:, place], depth + 2, other) for place in range(value.shape[1])]
        body = [_index(value.index, depth + 1, other), _index(value.columns, depth + 1, other)]
        return {"$": "DataFrame", "v": [*body, columns]}
    return None


def _decode_array(inner: Any, depth: int, other: Other) -> Any:
    import numpy

    name, shape, flat = inner
    members = [decode(item, True, depth + 1, other) for item in flat]
    if numpy.dtype(name).kind in "mM":
        array = numpy.array(members, dtype="int64").view(name)
    else:
        array = numpy.empty(len(members), dtype=name)
        for place, member in enumerate(members):
            array[place] = member
    return array.reshape([int(size) for size in shape])


def _read_column(inner: Any, depth: int, other: Other, make: Any) -> Any:
    name, members = inner
    values = [decode(item, True, depth + 1, other) for item in members]
    return make(values, dtype=None if name == "object" and not values else name)


def _read_index(inner: Any, depth: int, other: Other) -> Any:
    import pandas

    many, names, name, members = inner
    names_read = [decode(item, True, depth, other) for item in names]
    if many:
        return pandas.MultiIndex.from_tuples([decode(item, True, depth, other) for item in members], names=names_read)
    return _read_column([name, members], depth, other, pandas.Index).set_names(names_read)


def _decode_series(inner: Any, depth: int, other: Other) -> Any:
    import pandas

    index, name, column = inner
    series = _read_column(column, depth, other, pandas.Series)
    series.index, series.name = _read_index(index, depth, other), decode(name, True, depth, other)
    return series


def _decode_frame(inner: Any, depth: int, other: Other) -> Any:
    import pandas

    index, names, columns = inner
    series = [_read_column(column, depth, other, pandas.Series) for column in columns]
    frame = pandas.concat(series, axis=1) if series else pandas.DataFrame()
    frame.columns = _read_index(names, depth, other)
    if series:
        frame.index = _read_index(index, depth, other)
    return frame


def _decode_timestamp(inner: Any, depth: int, other: Other) -> Any:
    import pandas

    return pandas.Timestamp(str(inner))


# Nodes


def _fields(value: Any) -> frozenset[str]:
    slots = getattr(type(value), "__slots__", ())
    return frozenset(getattr(value, "__dict__", ())) | frozenset((slots,) if isinstance(slots, str) else slots)


def nodes_of(value: Any) -> tuple[str, list[Any]] | None:
    """Kind and values of a linked list or a binary tree; the tree's by level, None where a child is missing."""
    fields = _fields(value)
    if fields >= set(_LISTS) and len(fields) == 2:
        return "ListNode", [node.val for node in _chain(value)]
    if fields >= set(_TREES) and len(fields) == 3:
        return "TreeNode", _levels(value)
    return None


def _chain(node: Any) -> list[Any]:
    chain: list[Any] = []
    visited: set[int] = set()
    while node is not None:
        if id(node) in visited or len(chain) >= _MOST_NODES:
            raise NotPlainError("a linked list that does not end")
        visited.add(id(node))
        chain.append(node)
        node = node.next
    return chain


def _levels(root: Any) -> list[Any]:
    values: list[Any] = []
    row = [root]
    visited: set[int] = set()
    for node in row:  # grows meanwhile
        values.append(None if node is None else node.val)
        if node is None:
            continue
        if id(node) in visited or len(row) >= 2 * _MOST_NODES:
            raise NotPlainError("a tree that does not end")
        visited.add(id(node))
        row += (node.left, node.right)
    while values and values[-1] is None:
        values.pop()
    return values


class _Node:
    """A node where neither side defines the class."""

    def __init__(self, val: Any = 0) -> None:
        self.val = val


def has_node_class(kind: str) -> bool:
    """Whether this side has a class of nodes of that name."""
    return any(isinstance(scope.get(kind), type) for scope in scopes)


def _make_node(kind: str, value: Any) -> Any:
    own = next((scope[kind] for scope in scopes if isinstance(scope.get(kind), type)), _Node)
    node = own(value)
    for name in (_LISTS if kind == "ListNode" else _TREES)[1:]:
        setattr(node, name, None)
    return node


def build_nodes(kind: str, values: list[Any]) -> Any:
    """A linked list or a binary tree of this side's class; None without values."""
    if not values or kind not in ("ListNode", "TreeNode"):
        return None
    root = _make_node(kind, values[0])
    if kind == "ListNode":
        last = root
        for value in values[1:]:
            last.next = _make_node(kind, value)
            last = last.next
        return root
    row, place = [root], 1
    for node in row:  # grows meanwhile
        for side in ("left", "right"):
            if place < len(values) and values[place] is not None:
                setattr(node, side, _make_node(kind, values[place]))
                row.append(getattr(node, side))
            place += 1
    return root


def _decode_nodes(inner: Any, depth: int, other: Other) -> Any:
    kind, values = inner
    return build_nodes(str(kind), [decode(value, True, depth, other) for value in values])


# Objects with fields, and names


def _encode_object(value: Any, depth: int, other: Other) -> Any:
    kind = type(value)
    if kind.__module__.startswith("numpy") and kind.__name__ == "ndarray":
        return _array(value, depth, other)
    if kind.__module__.startswith("pandas"):
        return _encode_table(value, depth, other)
    if isinstance(value, type) or callable(value):
        return _encode_name(value)
    nodes = nodes_of(value)
    if nodes is not None:
        return {"$": "nodes", "v": [nodes[0], [encode(member, depth + 1, other) for member in nodes[1]]]}
    if hasattr(kind, "__dataclass_fields__"):
        fields = {name: getattr(value, name) for name in kind.__dataclass_fields__}
        return {"$": "record", "v": [kind.__name__, encode(fields, depth + 1, other)]}
    return None


def _encode_name(value: Any) -> Any:
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", "")
    if module == "_operator":
        module = "operator"
    owner = sys.modules.get(str(module))
    if module in _NAMED_MODULES and name not in _WITHHELD and getattr(owner, name, math) is value:
        return {"$": "named", "v": f"{module}.{name}"}
    return None


def _decode_name(inner: Any, depth: int, other: Other) -> Any:
    module, _, name = str(inner).partition(".")
    if module not in _NAMED_MODULES or name in _WITHHELD or not name.isidentifier() or name.startswith("_"):
        raise NotPlainError(f"the name {inner}")
    return getattr(__import__(module), name)


def _decode_record(inner: Any, depth: int, other: Other) -> Any:
    raise NotPlainError("an object of the program")


def encode_fields(value: Any, depth: int, other: Other) -> Any:
    """A named tuple with its names."""
    members = [encode(item, depth + 1, other) for item in tuple.__iter__(value)]
    return {"$": "fields", "v": [type(value).__name__, list(value._fields), members]}


def _decode_fields(inner: Any, depth: int, other: Other) -> Any:
    from collections import namedtuple

    name, fields, members = inner
    return namedtuple(str(name), map(str, fields))(*(decode(item, True, depth, other) for item in members))


encoders.append(_encode_object)
decoders.update(
    ndarray=_decode_array,
    Series=_decode_series,
    DataFrame=_decode_frame,
    Timestamp=_decode_timestamp,
    nodes=_decode_nodes,
    named=_decode_name,
    record=_decode_record,
    fields=_decode_fields,
)
