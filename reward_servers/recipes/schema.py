"""What a running server's schema of options says of options, as far as names, types, choices and bounds go.

The server checks them itself, and more thoroughly, when it is asked; this finds mistakes before anything is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}
_BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: value > bound),
    "exclusiveMaximum": ("less than", lambda value, bound: value < bound),
}


def schema_problem(schema: Mapping[str, Any], value: Any, place: str) -> str:
    """The first thing that does not fit, as ``PLACE: reason``; empty where everything fits.

    Args:
        schema: JSON Schema, as pydantic writes it.
        value: What is checked.
        place: What it is called.
    """
    return _problem(schema, schema.get("$defs", {}), value, place)


def _problem(schema: Mapping[str, Any], names: Mapping[str, Any], value: Any, place: str) -> str:
    if "$ref" in schema:
        return _problem(names.get(str(schema["$ref"]).rpartition("/")[2], {}), names, value, place)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        problems = [_problem(choice, names, value, place) for choice in choices]
        return "" if "" in problems else problems[0]
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: {value!r} is not one of {', '.join(map(repr, schema['enum']))}"
    if "const" in schema and value != schema["const"]:
        return f"{place}: {value!r} is not {schema['const']!r}"
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _TYPES and not _TYPES[kind](value):
        return f"{place}: expected {kind}, found {value!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        for key, (words, holds) in _BOUNDS.items():
            if key in schema and not holds(value, schema[key]):
                return f"{place}: {value!r} is not {words} {schema[key]}"
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        parts = (_problem(schema["items"], names, item, f"{place}.{number}") for number, item in enumerate(value))
        return next(filter(None, parts), "")
    return _object_problem(schema, names, value, place) if isinstance(value, Mapping) else ""


def _object_problem(schema: Mapping[str, Any], names: Mapping[str, Any], value: Mapping[str, Any], place: str) -> str:
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        for name in value:
            if name not in properties:
                close = get_close_matches(name, properties, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(properties) or 'none'}"
                return f"{place}.{name}: there is no such field; {hint}"
    for name in schema.get("required", ()):
        if name not in value:
            return f"{place}.{name}: is missing"
    parts = (
        _problem(properties[name], names, part, f"{place}.{name}") for name, part in value.items() if name in properties
    )
    return next(filter(None, parts), "")
