"""JSON as language models write it: in prose and fences, with the slips that leave no doubt about the meaning.

Not forgiven, because two readings are possible: a key given twice, NaN and infinities.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["json_spans", "read_json"]

_UNPAIRED_STARTS = 64
_BAD_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|(.?))', re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*')
_PYTHON_NAMES = re.compile(r"\b(true|false|null)\b")
_IN_PYTHON = {"true": "True", "false": "False", "null": "None"}


class _TwiceError(ValueError):
    """A key is given twice."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise _TwiceError
    return decoded


def _refuse(constant: str) -> Any:
    raise _TwiceError(constant)


def _load(text: str) -> Any:
    return json.loads(text, strict=False, object_pairs_hook=_pairs, parse_constant=_refuse)


def _load_python(text: str) -> Any:
    """Reads a literal with single quotes."""
    tree = ast.parse(_PYTHON_NAMES.sub(lambda name: _IN_PYTHON[name[1]], text), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(set(map(repr, keys))) != len(node.keys):
                raise _TwiceError
    return ast.literal_eval(tree)


def _escape(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\" + match[2]


def read_json(text: str) -> Any:
    """Reads one value.

    Args:
        text: The text of an object or a list, from bracket to bracket.

    Returns:
        The value.

    Raises:
        ValueError: It cannot be read, or not in one way only.
    """
    repaired = _COMMENT.sub(lambda found: found[1] or "", text) if "//" in text else text
    repaired = _TRAILING_COMMA.sub(r"\1", _BAD_ESCAPE.sub(_escape, repaired))
    for reader, source in ((_load, text), (_load, repaired), (_load_python, repaired)):
        try:
            return reader(source)
        except _TwiceError:
            raise ValueError("a key is given twice, or a constant is no JSON") from None
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    raise ValueError("it is not JSON")


def _closing(text: str, start: int, *, strings: bool) -> int:
    """Position after the bracket that closes the one at ``start``; -1 when none does."""
    depth, at, size, inside = 0, start, len(text), False
    while at < size:
        mark = text[at]
        if inside:
            if mark == "\\":
                at += 1
            elif mark == '"':
                inside = False
        elif strings and mark == '"':
            inside = True
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1


def json_spans(text: str) -> Iterator[tuple[int, int]]:
    """The outermost spans from an opening brace (or a bracket before one) to the mark that closes it, in order."""
    unpaired = 0
    start = re.compile(r"\{|\[(?=\s*\{)")
    at = 0
    while unpaired < _UNPAIRED_STARTS and (opening := start.search(text, at)) is not None:
        end = _closing(text, opening.start(), strings=True)
        if end < 0:
            end = _closing(text, opening.start(), strings=False)
        if end < 0:
            unpaired += 1
            at = opening.end()
        else:
            yield opening.start(), end
            at = end
