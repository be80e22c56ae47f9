"""JSON as language models write it: in prose and fences, with the slips that leave no doubt about the meaning.

Not forgiven, because two readings are possible: a key given twice, NaN and infinities.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from reward_servers.engines.text import parse_expression

_UNPAIRED_STARTS = 64
_PASSES = 4
_START = re.compile(r"\{|\[(?=\s*\{)")
_MARKS = re.compile(r'[{}\[\]"\\]')
_PLAIN_MARKS = re.compile(r"[{}\[\]]")
_BAD_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|(.?))', re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_COMMENT = re.compile(
    # A string that its line does not end is passed over too: to look for its end from every mark takes the square.
    r'("(?:[^"\\\n]|\\.)*+(?:"|(?=\\?(?:\n|\Z))))|//[^\n]*'
)
_PYTHON_NAMES = re.compile(r"\b(true|false|null)\b")
_PYTHON = re.compile(r"'|\b(?:True|False|None)\b")
_LONGEST_IN_PYTHON = 1 << 14
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
    """Read a literal with single quotes."""
    if len(text) > _LONGEST_IN_PYTHON or _PYTHON.search(text) is None:
        raise ValueError("it is too long, or has nothing of a literal")
    tree = parse_expression(_PYTHON_NAMES.sub(lambda name: _IN_PYTHON[name[1]], text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(set(map(repr, keys))) != len(node.keys):
                raise _TwiceError
    return ast.literal_eval(tree)


def _escape(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\" + match[2]


def read_json(text: str) -> Any:
    """Read one value.

    Args:
        text: The text of an object or a list, from bracket to bracket.

    Returns:
        The value.

    Raises:
        ValueError: It cannot be read, or not in one way only.
    """
    repaired = _COMMENT.sub(lambda match: match[1] or "", text) if "//" in text else text
    repaired = _TRAILING_COMMA.sub(r"\1", _BAD_ESCAPE.sub(_escape, repaired))
    for reader, source in ((_load, text), (_load, repaired), (_load_python, repaired)):
        try:
            return reader(source)
        except _TwiceError:
            raise ValueError("a key is given twice, or a constant is no JSON") from None
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    raise ValueError("it is not JSON")


class _Brackets:
    """Which mark closes a bracket, found in a few passes over the text whatever it holds.

    A bracket is read as if no string were open there. Brackets that one pass found outside of strings share it; one
    that every pass so far has taken for a part of a string needs a pass of its own, of which there are only a few.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._plain: dict[int, int] | None = None
        self._outside: list[dict[int, int]] = []

    def closing(self, start: int) -> int:
        """Position after the mark that closes the bracket at ``start``; -1 when none does."""
        end = self._outside_strings(start)
        if end < 0:
            # Quotation marks in prose pair up wrongly: then they count for nothing.
            if self._plain is None:
                self._plain = self._pass(0, strings=False)
            end = self._plain.get(start, -1)
        return end

    def _outside_strings(self, start: int) -> int:
        for positions in self._outside:
            if start in positions:
                return positions[start]
        if len(self._outside) == _PASSES:
            return -1
        self._outside.append(self._pass(start, strings=True))
        return self._outside[-1][start]

    def _pass(self, start: int, *, strings: bool) -> dict[int, int]:
        """The ends of all brackets from ``start`` on that stand outside of strings; -1 for those without one."""
        ends: dict[int, int] = {}
        opened: list[int] = []
        inside, skip = False, -1
        for match in (_MARKS if strings else _PLAIN_MARKS).finditer(self._text, start):
            at, mark = match.start(), match[0]
            if at == skip:
                continue
            if mark == '"':
                inside = not inside
            elif mark == "\\":
                skip = at + 1 if inside else -1
            elif inside:
                continue
            elif mark in "{[":
                ends[at] = -1
                opened.append(at)
            elif opened:
                ends[opened.pop()] = at + 1
        return ends


def json_spans(text: str) -> Iterator[tuple[int, int]]:
    """The outermost spans from an opening brace (or a bracket before one) to the mark that closes it, in order."""
    unpaired = at = 0
    brackets = _Brackets(text)
    while unpaired < _UNPAIRED_STARTS and (opening := _START.search(text, at)) is not None:
        end = brackets.closing(opening.start())
        if end < 0:
            unpaired += 1
            at = opening.end()
        else:
            yield opening.start(), end
            at = end
