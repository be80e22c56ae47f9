"""Assertions decided outside the sandbox: expressions over the plain results of calls to a program.

    Const, Outcome, Apply   an expression: a known value, the result of one call, an operation on such
    evaluate                its value, given the results

Only operations whose cost is bounded by the size of their operands are offered, because the operands come from the
program. `UnaffordableError` says that the operands are too large for one of them; the test code then runs in a
sandbox instead, as it does where the syntax tree holds anything that is not offered.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from reward_servers.engines.code._guest import plain

_MAX_BITS = 1 << 16


class UnaffordableError(Exception):
    """An operation whose cost is not bounded for these operands."""


@dataclasses.dataclass(frozen=True, slots=True)
class Const:
    """A value known from the test code."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The value returned by the call with this number."""

    index: int


@dataclasses.dataclass(frozen=True, slots=True)
class Apply:
    """An operation of `OPERATIONS` on other expressions, with constant keyword arguments."""

    operation: str
    operands: tuple[Expression, ...]
    keywords: tuple[tuple[str, Any], ...] = ()


Expression = Const | Outcome | Apply


@dataclasses.dataclass(frozen=True, slots=True)
class Approx:
    """What `pytest.approx` makes: a number, sequence or dict with a tolerance."""

    expected: Any
    rel: float | None = None
    abs: float | None = None

    def matches(self, result: Any) -> bool:
        """Whether plain data equal the expected within the tolerance, by the rules of pytest."""
        return self._matches(result, self.expected)

    def _matches(self, result: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            same_shape = isinstance(result, dict) and result.keys() == expected.keys()
            return same_shape and all(self._matches(result[key], value) for key, value in expected.items())
        if isinstance(expected, list | tuple):
            same_shape = isinstance(result, list | tuple) and len(result) == len(expected)
            return same_shape and all(
                self._matches(item, expected_item) for item, expected_item in zip(result, expected, strict=True)
            )
        if isinstance(expected, bool) or not isinstance(expected, int | float | complex):
            return bool(result == expected)
        if result == expected:
            return True
        if isinstance(result, bool) or not isinstance(result, int | float | complex):
            return False
        return self._close(result, expected)

    def _close(self, value: complex, expected: complex) -> bool:
        difference, size = abs(value - expected), abs(expected)
        if not (math.isfinite(difference) and math.isfinite(size)):
            return False
        absolute = 1e-12 if self.abs is None else self.abs
        if self.rel is None and self.abs is not None:
            return difference <= absolute
        return difference <= max(absolute, (1e-6 if self.rel is None else self.rel) * size)


def calls_in(expression: Expression) -> list[int]:
    """Numbers of the calls whose results an expression needs."""
    if isinstance(expression, Outcome):
        return [expression.index]
    if isinstance(expression, Apply):
        return [index for operand in expression.operands for index in calls_in(operand)]
    return []


def evaluate(expression: Expression, results: Sequence[Any]) -> Any:
    """Value of an expression.

    Args:
        expression: From the conversion of a test.
        results: Plain values returned by the calls, by their number.

    Raises:
        UnaffordableError: The operands are too large for an operation.
        Exception: Whatever the operation raises for such operands, as it would in the test code.
    """
    if isinstance(expression, Const):
        return expression.value
    if isinstance(expression, Outcome):
        return results[expression.index]
    if expression.operation in ("and", "or"):
        value: Any = None
        for operand in expression.operands:
            value = evaluate(operand, results)
            if bool(value) is (expression.operation == "or"):
                return value
        return value
    operands = [evaluate(operand, results) for operand in expression.operands]
    return OPERATIONS[expression.operation](*operands, **dict(expression.keywords))


def _equal(left: Any, right: Any) -> bool:
    if isinstance(right, Approx):
        return right.matches(left)
    return left.matches(right) if isinstance(left, Approx) else bool(left == right)


def _number(value: Any) -> Any:
    """Only numbers, and no giants: sequences times integers, `%` on text and long division have no bound."""
    if value is None:
        raise TypeError("arithmetic on None")
    if not isinstance(value, int | float | complex):
        raise UnaffordableError(f"arithmetic on a {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise UnaffordableError("a large integer")
    return value


def _numeric(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: function(_number(left), _number(right))


def _plus(left: Any, right: Any) -> Any:
    if type(left) is type(right) and type(left) in (str, bytes, list, tuple):
        return left + right
    return _number(left) + _number(right)


def _minus(left: Any, right: Any) -> Any:
    if isinstance(left, set | frozenset) and isinstance(right, set | frozenset):
        return left - right
    return _number(left) - _number(right)


def _distinct(kind: type[Any]) -> Callable[..., Any]:
    def build(items: Any = ()) -> Any:
        members = list(items)
        plain.refuse_collisions(members)
        return kind(members)

    return build


def _sorted(items: Any, reverse: Any = False) -> list[Any]:
    return sorted(items, reverse=bool(reverse))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": lambda item, container: item in container,
    "not in": lambda item, container: item not in container,
    "not": operator.not_,
    "neg": lambda value: -_number(value),
    "pos": lambda value: +_number(value),
    "+": _plus,
    "-": _minus,
    "*": _numeric(operator.mul),
    "/": _numeric(operator.truediv),
    "//": _numeric(operator.floordiv),
    "%": _numeric(operator.mod),
    "item": operator.getitem,
    "make_list": lambda *items: list(items),
    "make_tuple": lambda *items: items,
    "abs": lambda value: abs(_number(value)),
    "all": all,
    "any": any,
    "bool": bool,
    "float": float,
    "frozenset": _distinct(frozenset),
    "int": int,
    "isinstance": isinstance,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "round": lambda value, ndigits=None: round(_number(value), ndigits),
    "set": _distinct(set),
    "sorted": _sorted,
    "str": str,
    "sum": lambda items: sum(map(_number, items)),
    "tuple": tuple,
    "math.ceil": math.ceil,
    "math.fabs": math.fabs,
    "math.floor": math.floor,
    "math.isclose": math.isclose,
    "math.isinf": math.isinf,
    "math.isnan": math.isnan,
    "math.sqrt": math.sqrt,
}
