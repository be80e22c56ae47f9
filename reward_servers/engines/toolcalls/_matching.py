"""Whether a call is the expected one, by the rules of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_UNIMPORTANT = re.compile(r"[ ,./\-_*^]")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Rules:
    """Which differences between two values count.

    Attributes:
        exact_text: Whether spelling of texts counts; otherwise case, blanks and ``,./-_*^`` do not.
        possible: Whether an expected argument is a list of values that are right, with ``""`` for one that may be
            left out; so is each value of an object among them.
    """

    exact_text: bool = False
    possible: bool = False


def same_value(value: Any, right: Any, rules: Rules) -> bool:
    """Whether a value is the right one: types count, but a whole number may stand for a fraction."""
    if isinstance(right, bool) or isinstance(value, bool):
        return isinstance(right, bool) and isinstance(value, bool) and value is right
    if isinstance(right, str):
        return isinstance(value, str) and _text(value, rules) == _text(right, rules)
    if isinstance(right, float):
        return isinstance(value, int | float) and float(value) == right
    if isinstance(right, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(right)
            and all(same_value(item, right_item, rules) for item, right_item in zip(value, right, strict=True))
        )
    if isinstance(right, dict):
        return (
            isinstance(value, dict)
            and value.keys() == right.keys()
            and all(same_value(value[key], right[key], rules) for key in right)
        )
    return type(value) is type(right) and bool(value == right)


def same_arguments(arguments: Mapping[str, Any], right: Mapping[str, Any], rules: Rules) -> dict[str, bool]:
    """For each argument of either side whether it is right."""
    checks = {name: False for name in arguments if name not in right}
    for name, expected in right.items():
        value = arguments.get(name, _MISSING)
        choices = expected if rules.possible else [expected]
        if value is _MISSING:
            checks[name] = rules.possible and "" in choices
        else:
            checks[name] = any(_is_choice(value, choice, rules) for choice in choices)
    return checks


def _is_choice(value: Any, choice: Any, rules: Rules) -> bool:
    """Whether a value is one that is right; in an object of possible values each key has a list of its own."""
    if rules.possible and isinstance(choice, dict):
        return isinstance(value, dict) and all(same_arguments(value, choice, rules).values())
    if rules.possible and isinstance(choice, list) and any(isinstance(part, dict) for part in choice):
        fits = isinstance(value, list) and len(value) == len(choice)
        return fits and all(
            _is_choice(item, item_choices, rules) for item, item_choices in zip(value, choice, strict=True)
        )
    return same_value(value, choice, rules)


def assign(count: int, right: int, fits: Callable[[int, int], bool]) -> dict[int, int]:
    """Give as many expected items as can be a given one each: their places, by the place of the given one.

    Args:
        count: Number of given items.
        right: Number of expected ones.
        fits: Whether a given item is what is expected.
    """
    owner: dict[int, int] = {}

    def place(expected: int, tried: set[int]) -> bool:
        for position in range(count):
            if position not in tried and fits(position, expected):
                tried.add(position)
                if position not in owner or place(owner[position], tried):
                    owner[position] = expected
                    return True
        return False

    for expected in range(right):
        place(expected, set())
    return owner


def _text(value: str, rules: Rules) -> str:
    return value if rules.exact_text else _UNIMPORTANT.sub("", value).lower().replace("'", '"')
