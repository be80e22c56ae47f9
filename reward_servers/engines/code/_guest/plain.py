"""Plain data on the wire: values of built-in types as JSON, nothing that could run code when it is read.

`None`, `bool`, `str`, finite `float` and small `int` are themselves, a list is an array; everything else is an
object with a tag, `{"$": "tuple", "v": [...]}`. A value of a subclass is sent as its base type, so that no method of
the sender's class exists on the other side. Reading is strict: unknown tags, wrong shapes, deep nesting and sets or
dicts made to collide are refused with `NotPlainError`.

This file is imported by the engine and is also part of every driver, so it uses the standard library only.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

Other = Callable[[Any, int], Any] | None
MAX_DEPTH = 200
SAME_HASH = 64
LIBRARY = frozenset(("Decimal", "Fraction", "date", "time", "datetime", "timedelta", "range"))
EXTENDED = frozenset(("ndarray", "Series", "DataFrame", "Timestamp", "record", "nodes", "named", "fields"))
_SMALL = 1 << 63
BASES: tuple[Any, ...] = (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)
_SIMPLE = frozenset((str, bool, type(None)))
_PASSED_TYPES = frozenset((bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict))
# Kept, because test code may replace them where the program runs.
_to_json, _from_json = json.dumps, json.loads

encoders: list[Callable[[Any, int, Other], Any]] = []
"""Further kinds of values: each gives the wire form of a value, or None. See `library`."""
decoders: dict[str, Callable[[Any, int, Other], Any]] = {}
"""Their counterparts by tag."""


class NotPlainError(Exception):
    """A value that is not plain data, or bytes that do not describe any."""


class UnpassableError(BaseException):
    """Test code needs something that the sandbox does not offer it. Not for test code to catch."""


class TooDeepError(NotPlainError):
    """A value nested more deeply than `MAX_DEPTH`, or endlessly."""


class LibraryValueError(NotPlainError):
    """A value type of the standard library where only built-in types are read.

    Its operations may cost without bound (`round(Decimal("1E999999999"))`), so it is handled only in a sandbox.
    """


def dumps(value: Any) -> bytes:
    """Encode plain data as one line of ASCII.

    Raises:
        NotPlainError: The value holds something else, or is nested too deeply.
    """
    try:
        return dumps_json(encode(value))
    except RecursionError:
        raise TooDeepError("nested too deeply") from None


def loads(data: bytes, library: bool = False) -> Any:
    """Decode what `dumps` made.

    Args:
        data: One line from `dumps`, or whatever an untrusted sender wrote in its place.
        library: Whether values of library types (`Decimal`, `range`, `deque`, dates) are read too.

    Raises:
        NotPlainError: The bytes are not such a line.
        LibraryValueError: They are, but hold a library type.
    """
    return decode(loads_json(data), library)


def dumps_json(data: Any) -> bytes:
    """Write data that are in wire form already as one line."""
    return _to_json(data, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def loads_json(data: bytes) -> Any:
    """Decode JSON from an untrusted sender, with one kind of error for all that may be wrong with it."""
    try:
        return _from_json(data)
    except (ValueError, RecursionError) as error:
        raise NotPlainError(f"malformed data: {type(error).__name__}") from None


def encode(value: Any, depth: int = 0, other: Other = None) -> Any:
    """Turn plain data into what `json` can write; see the module's text for the form.

    Args:
        value: The data.
        depth: How deep in a container they are.
        other: Says what stands for a value that is no list of plain data, or `None` to go on as without it.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else {"$": "int", "v": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if depth > MAX_DEPTH:
        raise TooDeepError("nested too deeply")
    if kind is list:
        return [encode(item, depth + 1, other) for item in value]
    stand_in = other(value, depth) if other is not None and kind not in BASES else None
    if stand_in is None:
        return _encode_tagged(value, depth + 1, other)
    return stand_in if type(stand_in) is dict and "$" in stand_in else {"$": "object", "v": stand_in}


def _encode_tagged(value: Any, depth: int, other: Other = None) -> Any:
    """Containers other than exact lists, rarer scalars, and subclasses as their base type."""
    base = next((base for base in BASES if isinstance(value, base)), None)
    if base is None:
        return _encode_library(value, depth, other)
    if base in (int, float):
        return encode(base.__pos__(value), depth)
    if base is str:
        return str.__str__(value)
    if base is complex:
        pair = base.__pos__(value)
        return {"$": "complex", "v": [encode(pair.real), encode(pair.imag)]}
    if base in (bytes, bytearray):
        return {"$": base.__name__, "v": base.hex(value)}
    if base is dict:
        encoded = _encode_kind_of_dict(value, depth, other)
        if encoded is not None:
            return encoded
        items = [[encode(k, depth, other), encode(v, depth, other)] for k, v in base.items(value)]
        return {"$": "dict", "v": items}
    members = [encode(item, depth, other) for item in base.__iter__(value)]
    return members if base is list else {"$": base.__name__, "v": members}


def _encode_kind_of_dict(value: Any, depth: int, other: Other) -> Any:
    """A dict that answers for absent keys, None for any other."""
    kind, module = type(value).__name__, type(value).__module__
    if module != "collections" or kind not in ("Counter", "defaultdict"):
        return None
    factory = getattr(value, "default_factory", int)
    if factory not in _PASSED_TYPES:
        return None
    items = [[encode(k, depth, other), encode(v, depth, other)] for k, v in dict.items(value)]
    return {"$": kind, "v": [factory.__name__, items]}


def _decode_kind_of_dict(tag: str, inner: Any, library: bool, depth: int, other: Other) -> Any:
    import collections

    name, items = inner
    pairs = _decode_container("dict", items, library, depth, other)
    if tag == "defaultdict":
        return collections.defaultdict(next(kind for kind in _PASSED_TYPES if kind.__name__ == name), pairs)
    counted: collections.Counter[Any] = collections.Counter()
    dict.update(counted, pairs)
    return counted


def _encode_library(value: Any, depth: int, other: Other) -> Any:
    """Scalars of numpy as their Python value, and a few value types of the standard library."""
    kind = type(value)
    module, name = kind.__module__, kind.__name__
    if module == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        inner = value.item()
        if type(inner) in (bool, int, float, complex, str, bytes):
            return encode(inner, depth)
    if module == "decimal" and name == "Decimal":
        return {"$": "Decimal", "v": str(value)}
    if module == "fractions" and name == "Fraction":
        return {"$": "Fraction", "v": [encode(value.numerator), encode(value.denominator)]}
    if module == "datetime" and name in ("date", "time", "datetime"):
        return {"$": name, "v": value.isoformat()}
    if module == "datetime" and name == "timedelta":
        return {"$": "timedelta", "v": [value.days, value.seconds, value.microseconds]}
    if kind is range:
        return {"$": "range", "v": [encode(value.start), encode(value.stop), encode(value.step)]}
    if module == "collections" and name == "deque":
        return {"$": "deque", "v": [encode(item, depth, other) for item in value]}
    if kind is type and value in _PASSED_TYPES:
        return {"$": "named", "v": f"builtins.{value.__name__}"}
    for encoder in encoders:
        data = encoder(value, depth, other)
        if data is not None:
            return data
    raise NotPlainError(f"a {module}.{kind.__qualname__} is no plain data")


def decode(data: Any, library: bool = False, depth: int = 0, other: Other = None) -> Any:
    """Turn decoded JSON into the value it stands for.

    Args:
        data: What `encode` made, or whatever an untrusted sender wrote in its place.
        library: Whether values of library types are read, too.
        depth: How deep in a container they are.
        other: Gives the value for what the sender's `other` said; without it there are no such values.

    Raises:
        NotPlainError: It stands for none.
    """
    if not isinstance(data, list | dict):
        return data
    if depth > MAX_DEPTH + 4:
        raise TooDeepError("nested too deeply")
    if isinstance(data, list):
        return [decode(item, library, depth + 1, other) for item in data]
    if data.keys() != {"$", "v"}:
        raise NotPlainError("malformed object")
    tag, inner = data["$"], data["v"]
    if tag == "object" and other is not None:
        return other(inner, depth)
    try:
        if tag in EXTENDED:
            return _decode_extended(tag, inner, library, depth + 1, other)
        if tag == "deque" and not library:
            raise LibraryValueError("a collections.deque")
        if tag in ("Counter", "defaultdict"):
            return _decode_kind_of_dict(tag, inner, library, depth + 1, other)
        if tag in ("tuple", "set", "frozenset", "deque", "dict"):
            return _decode_container(tag, inner, library, depth + 1, other)
        return _decode_scalar(tag, inner, library)
    except NotPlainError:
        raise
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise NotPlainError(f"malformed {tag}: {type(error).__name__}") from None


def _decode_extended(tag: str, inner: Any, library: bool, depth: int, other: Other) -> Any:
    """Read a value that `encoders` made; of these only the names of built-in types are read everywhere."""
    if tag == "named" and not library:
        builtin = next((kind for kind in _PASSED_TYPES if inner == f"builtins.{kind.__name__}"), None)
        if builtin is not None:
            return builtin
    if not library:
        raise LibraryValueError(f"a {tag}")
    if tag not in decoders:
        raise NotPlainError(f"a {tag} where none is read")
    return decoders[tag](inner, depth, other)


def _decode_container(tag: str, inner: Any, library: bool, depth: int, other: Other) -> Any:
    """Read a tagged container. Keys that all hash alike would cost quadratic time, so they are refused."""
    if not isinstance(inner, list):
        raise NotPlainError(f"malformed {tag}")
    if tag == "dict":
        pairs = [(decode(key, library, depth, other), decode(value, library, depth, other)) for key, value in inner]
        refuse_collisions(key for key, _ in pairs)
        return dict(pairs)
    items = [decode(item, library, depth, other) for item in inner]
    if tag == "tuple":
        return tuple(items)
    if tag == "deque":
        from collections import deque

        return deque(items)
    refuse_collisions(items)
    return set(items) if tag == "set" else frozenset(items)


def refuse_collisions(keys: Any) -> None:
    """Refuse keys of which more than `SAME_HASH` share one hash value.

    Raises:
        NotPlainError: They would make a set or dict quadratically slow.
        TypeError: A key has no hash.
    """
    counts = Counter(hash(key) for key in keys)
    if counts and max(counts.values()) > SAME_HASH:
        raise NotPlainError("keys with equal hash values")


def _decode_scalar(tag: str, inner: Any, library: bool) -> Any:
    if tag == "int" and isinstance(inner, str):
        return int(inner, 16)
    if tag == "float" and inner in ("nan", "inf", "-inf"):
        return float(inner)
    if tag == "complex" and len(inner) == 2:
        real, imag = decode(inner[0]), decode(inner[1])
        if isinstance(real, float) and isinstance(imag, float):
            return complex(real, imag)
    if tag in ("bytes", "bytearray"):
        raw = bytes.fromhex(inner)
        return raw if tag == "bytes" else bytearray(raw)
    if tag in LIBRARY and not library:
        raise LibraryValueError(f"a {tag}")
    return _decode_library(tag, inner)


def _decode_library(tag: str, inner: Any) -> Any:
    if tag == "Decimal" and isinstance(inner, str):
        from decimal import Decimal

        return Decimal(inner)
    if tag == "Fraction":
        from fractions import Fraction

        return Fraction(*map(decode, inner))
    if tag in ("date", "time", "datetime", "timedelta"):
        import datetime

        if tag == "timedelta":
            return datetime.timedelta(*inner)
        return getattr(datetime, tag).fromisoformat(inner)
    if tag == "range" and len(inner) == 3:
        return range(*map(decode, inner))
    raise NotPlainError(f"unknown kind of data {tag!r}")
