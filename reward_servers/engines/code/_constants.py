"""Operations on the constants of test code, computed within bounds while it is converted."""

from __future__ import annotations

import ast
from typing import Any

from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._host import OPERATIONS, Approx

_MAX_ITEMS = 100_000
_MAX_BITS = 1 << 16
TYPES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)
}
BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}


class NotConvertibleError(Exception):
    """The test is no expression over calls with known arguments; the message says why."""


def known_binary(operator: ast.operator, left: Any, right: Any) -> Any:
    """An operation on two constants, where its result is small."""
    both_numbers = isinstance(left, int | float | complex) and isinstance(right, int | float | complex)
    try:
        if isinstance(operator, ast.Mult) and not both_numbers:
            size, times = (left, right) if isinstance(right, int) else (right, left)
            if (
                isinstance(times, int)
                and isinstance(size, str | bytes | list | tuple)
                and len(size) * times <= _MAX_ITEMS
            ):
                return size * times
        elif isinstance(operator, ast.Pow) and isinstance(left, int) and isinstance(right, int):
            if abs(right) * max(1, left.bit_length()) <= _MAX_BITS:
                return left**right
        elif isinstance(operator, ast.Pow) and both_numbers and not isinstance(left, int):
            return left**right
        elif type(operator) in BINARY:
            return bounded(OPERATIONS[BINARY[type(operator)]](left, right))
    except NotConvertibleError:
        raise
    except Exception as error:  # noqa: BLE001 (as above)
        raise NotConvertibleError(f"raises {type(error).__name__}") from None
    raise NotConvertibleError(f"{type(operator).__name__} of such constants")


def known_call(name: str, values: list[Any], keywords: dict[str, Any]) -> Any:
    """A call with constant arguments of a function that has no operation on results of the program."""
    if name == "pytest.approx" and len(values) in (1, 2):
        return Approx(
            values[0], rel=keywords.get("rel", values[1] if len(values) == 2 else None), abs=keywords.get("abs")
        )
    if keywords:
        raise NotConvertibleError("a keyword argument that is not offered")
    try:
        if name in ("copy.copy", "copy.deepcopy"):
            return plain.decode(plain.encode(*values))
        if name == "range":
            return bounded(range(*values))
        if name in ("zip", "enumerate", "reversed"):
            iterator = {"zip": zip, "enumerate": enumerate, "reversed": reversed}[name](*values)
            return list(iterator)
        if name in ("complex", "bytes", "dict"):
            return bounded(TYPES[name](*values))
    except NotConvertibleError:
        raise
    except Exception as error:  # noqa: BLE001 (as above)
        raise NotConvertibleError(f"raises {type(error).__name__}") from None
    raise NotConvertibleError(f"calls {name}")


def bounded(value: Any) -> Any:
    """A value that is small enough to be kept.

    Raises:
        NotConvertibleError: It is not.
    """
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise NotConvertibleError("a large constant")
    if isinstance(value, str | bytes | list | tuple | set | frozenset | dict | range) and len(value) > _MAX_ITEMS:
        raise NotConvertibleError("a large constant")
    return value
