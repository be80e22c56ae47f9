"""TOML of recipes, of settings and of tokens: read, or refused with the place."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")


_DEEPEST = 100
"""Tables and lists within one another: what reads a table further on goes down into it, and dotted keys know no end."""
_TOO_DEEP = "it is nested too deeply to be read"


class TomlError(ValueError):
    """A text is no TOML, or holds what cannot be used.

    Attributes:
        reason: what is wrong.
        key: dotted key; empty where it is not known.
        line: line in the text, counted from 1; None where it is not known.
    """

    def __init__(self, reason: str, key: str = "", line: int | None = None) -> None:
        super().__init__(reason, key, line)
        self.reason = reason
        self.key = key
        self.line = line

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line is not None else ""
        return ": ".join(part for part in (place, self.key, self.reason) if part)


def read_toml(text: str) -> dict[str, Any]:
    """The table of a text.

    Raises:
        TomlError: it is no TOML, is nested too deeply, or holds a whole number of more than 64 bits, which readers of
            TOML refuse if they cannot keep it (https://toml.io/en/v1.0.0#integer): no float may hold it.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _PLACE.search(str(error))
        reason = str(error)[: at.start()] if at else str(error)
        raise TomlError(f"not TOML: {reason}", "", int(at[1]) if at else text.count("\n") + 1) from None
    except RecursionError:
        raise TomlError(_TOO_DEEP) from None
    except ValueError as error:
        # Numbers of thousands of digits, which Python does not convert.
        raise TomlError(f"not TOML: {error}") from None
    _check(table, ())
    return table


def _check(value: Any, path: tuple[str, ...], depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise TomlError(_TOO_DEEP, path[0])
    if isinstance(value, dict):
        for name, part in value.items():
            _check(part, (*path, name), depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check(part, path, depth + 1)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise TomlError("the whole number has more than 64 bits; TOML has none so large", ".".join(path))
