"""Comparison of what a program gave with what a test expects. All of it happens outside the sandbox.

    Comparison   one of the kinds below with its tolerances, as parsed from a reference
    lines        text, white space at line ends and blank lines at the end ignored (default of stdio)
    tokens       text split at white space
    float        tokens; equal as text, or both finite numbers within `max(abs, rel * |expected|)`
    exact        bytes
    value        JSON data: list = tuple, bool is no int, an int may stand for an expected float, never the reverse
    python_eq    Python's own equality of plain data: (1, 2) != [1, 2], 1 == True, 3.0 == 3
    checker      trusted code decides, in a sandbox of its own (`_checker`)
    validator    a trusted program of a problem package does (`_packaged`)

Text is decoded as UTF-8 with replacement, and CRLF counts as LF. NaN and infinity never match a number.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, Literal

Kind = Literal["lines", "tokens", "float", "exact", "value", "python_eq", "checker", "validator"]
TEXT_KINDS: frozenset[str] = frozenset(("lines", "tokens", "float", "exact", "checker", "validator"))
VALUE_KINDS: frozenset[str] = frozenset(("value", "python_eq", "checker"))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """How an answer is compared with the expected one.

    Attributes:
        kind: See the module's text.
        abs: Absolute tolerance of `float` and `value`.
        rel: Tolerance relative to the expected number, of the same kinds.
        ignore_case: Compare `lines`, `tokens` and `float` without regard to case.
        code: Source of the checker: `check(stdin, stdout, expected)`, or `check(args, result, expected)` for calls.
        expected_is_right: For `checker`: each expected value is itself an answer that the checker must accept.
    """

    kind: Kind = "lines"
    abs: float = 0.0
    rel: float = 0.0
    ignore_case: bool = False
    code: str | None = None
    expected_is_right: bool = False


def compare_output(comparison: Comparison, output: bytes, expected: str) -> bool:
    """Say whether the bytes a program wrote are the expected text.

    Args:
        comparison: One of the text kinds except `checker`.
        output: Standard output, whole.
        expected: Expected output.
    """
    if comparison.kind == "exact":
        return output == expected.encode("utf-8", "surrogatepass")
    text = output.decode("utf-8", "replace").replace("\r\n", "\n")
    expected = expected.replace("\r\n", "\n")
    if comparison.ignore_case:
        text, expected = text.casefold(), expected.casefold()
    if comparison.kind == "lines":
        return _lines(text) == _lines(expected)
    if comparison.kind == "tokens":
        return text.split() == expected.split()
    if comparison.kind == "float":
        tokens, expected_tokens = text.split(), expected.split()
        return len(tokens) == len(expected_tokens) and all(
            _close_tokens(token, expected_token, comparison)
            for token, expected_token in zip(tokens, expected_tokens, strict=True)
        )
    raise ValueError(f"{comparison.kind} does not compare output")


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _close_tokens(text: str, expected: str, comparison: Comparison) -> bool:
    if text == expected:
        return True
    # float() reads more than numerals ("1_0", "nan", digits of other scripts), hence the pattern.
    if not (_NUMBER.match(text) and _NUMBER.match(expected)):
        return False
    return _close(float(text), float(expected), comparison)


def _close(value: float, expected: float, comparison: Comparison) -> bool:
    if not (math.isfinite(value) and math.isfinite(expected)):
        return False
    return abs(value - expected) <= max(comparison.abs, comparison.rel * abs(expected))


def compare_value(comparison: Comparison, result: Any, expected: Any) -> bool:
    """Say whether plain data returned by a call equal the expected data.

    Args:
        comparison: `value` or `python_eq`.
        result: Decoded plain data, so of built-in types only: no `__eq__` of a candidate exists here.
        expected: From the reference.
    """
    try:
        if comparison.kind == "python_eq":
            return bool(result == expected)
        return _same_data(result, expected, comparison)
    except RecursionError:
        return False


def _same_data(result: Any, expected: Any, comparison: Comparison) -> bool:
    if isinstance(expected, bool) or isinstance(result, bool) or expected is None:
        return type(result) is type(expected) and result == expected
    if isinstance(expected, float):
        if not isinstance(result, int | float):
            return False
        return result == expected or _close(_as_float(result), expected, comparison)
    if isinstance(expected, list | tuple):
        return (
            isinstance(result, list | tuple)
            and len(result) == len(expected)
            and all(
                _same_data(item, expected_item, comparison)
                for item, expected_item in zip(result, expected, strict=True)
            )
        )
    if isinstance(expected, dict):
        return (
            isinstance(result, dict)
            and len(result) == len(expected)
            and all(
                key in keyed and _same_data(keyed[key], value, comparison)
                for keyed in (result if result.keys() == expected.keys() else _with_text_keys(result),)
                for key, value in expected.items()
            )
        )
    return type(result) is type(expected) and bool(result == expected)


def _with_text_keys(values: dict[Any, Any]) -> dict[Any, Any]:
    """A dict with its keys as JSON writes them, which knows only text; itself if two keys would be one.

    `{1: 2}` is written as `{"1": 2}`, so an expected value in JSON cannot say which of the two it means.
    """
    text_keyed = {
        _KEYS.get(key, key) if key is None or isinstance(key, bool) else _key(key): value
        for key, value in values.items()
    }
    return text_keyed if len(text_keyed) == len(values) else values


_KEYS = {None: "null", True: "true", False: "false"}


def _key(key: Any) -> Any:
    if isinstance(key, int | float | tuple):
        try:
            return repr(key)
        except ValueError:  # an integer of thousands of digits
            return key
    return key


def _as_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
