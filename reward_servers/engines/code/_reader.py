"""Reading JSON objects field by field, with errors that name the field, the problem and the remedy."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from reward_servers.engines.code._errors import BadReferenceError

T = TypeVar("T")
_MISSING: Any = object()
_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class Fields:
    """One JSON object of a reference; remembers which fields were read, so that typing errors are found.

    Args:
        data: The decoded object.
        path: Where it stands, `""` for the reference itself.
    """

    def __init__(self, data: Any, path: str = "") -> None:
        if not isinstance(data, Mapping):
            raise BadReferenceError(path or "reference", f"is {describe(data)}", "Write a JSON object")
        self._data = data
        self._path = path
        self._read: set[str] = set()

    def path(self, name: str) -> str:
        """Dotted path of a field of this object."""
        return f"{self._path}.{name}" if self._path else name

    def error(self, name: str, problem: str, remedy: str) -> BadReferenceError:
        """An error about one field of this object."""
        return BadReferenceError(self.path(name), problem, remedy)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._data.get(name) is not None

    @overload
    def take(self, name: str, kind: type[T], *, aliases: tuple[str, ...] = ...) -> T: ...

    @overload
    def take(self, name: str, kind: type[T], default: T, *, aliases: tuple[str, ...] = ...) -> T: ...

    def take(self, name: str, kind: type[T], default: T = _MISSING, *, aliases: tuple[str, ...] = ()) -> T:
        """Read a field of one type.

        Args:
            name: Name of the field.
            kind: `str`, `int`, `float`, `bool`, `list` or `dict`. An integer may stand for a float.
            default: Value where the field is absent or null; without it the field is required.
            aliases: Other names under which it is accepted.
        """
        present = [key for key in (name, *aliases) if self.has(key)]
        self._read.update((name, *aliases))
        if len(present) > 1:
            raise self.error(present[1], f"says the same as {present[0]!r}", "Give only one of them")
        if not present:
            if default is _MISSING:
                raise self.error(name, "is missing", f"Give {_NAMES[kind]}")
            return default
        return self._typed(present[0], kind)

    def _typed(self, name: str, kind: type[T]) -> T:
        value = self._data[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is float and is_number and math.isfinite(value):
            return kind(value)  # type: ignore[call-arg]
        if not isinstance(value, kind) or kind is float or (isinstance(value, bool) and kind is not bool):
            raise self.error(name, f"is {describe(value)}", f"Give {_NAMES[kind]}")
        return value

    def raw(self, name: str, *, aliases: tuple[str, ...] = ()) -> Any:
        """Read a required field of any JSON type, null included."""
        self._read.update((name, *aliases))
        present = [key for key in (name, *aliases) if key in self._data]
        if not present:
            raise self.error(name, "is missing", "Give the expected value, null included")
        return self._data[present[0]]

    def done(self, *, strict: bool = True) -> None:
        """Refuse fields that were not read.

        Args:
            strict: Refuse all of them; else only those that look like a misspelt known one, because other
                verifiers may keep their own fields in the same reference.
        """
        for name in self._data:
            if name in self._read:
                continue
            close = difflib.get_close_matches(name, self._read, n=1, cutoff=0.8)
            if strict or close:
                listed = close[0] if close else ", ".join(sorted(self._read))
                raise self.error(name, "is no known field", f"Known: {listed}")


def describe(value: Any) -> str:
    """What a JSON value is, for an error message."""
    if value is None:
        return "null"
    text = json.dumps(value, default=repr)
    kind = next((name for kind, name in _NAMES.items() if type(value) is kind), type(value).__name__)
    return f"{kind} ({text if len(text) <= 60 else text[:57] + '...'})"
