"""`Schedule`: a number of a recipe that follows the training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer_client._errors import RecipeError
from trainer_client._numbers import is_number

_KEYS = ("from", "to", "steps", "begin")
_NEEDED = ("from", "to", "steps")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A number that goes from one value to another in equal parts, and stays there.

    Attributes:
        start: the value until step ``begin``.
        end: the value from step ``begin + steps`` on.
        steps: how many steps the change takes.
        begin: the step from which on it changes.
    """

    start: float
    end: float
    steps: int
    begin: int = 0

    def __post_init__(self) -> None:
        for name, value in (("from", self.start), ("to", self.end)):
            # A number of numpy is no whole number to `at`, and no number to JSON.
            if not isinstance(value, int | float) or not is_number(value):
                raise RecipeError(f"{name}: {value!r} is not a finite number")
        for name, value, least in (("steps", self.steps, 1), ("begin", self.begin, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name}: {value!r} is not a whole number of at least {least}")

    def at(self, step: int) -> float:
        """The value at a step; whole where both ends are."""
        share = min(max(step - self.begin, 0) / self.steps, 1.0)
        value = self.start + (self.end - self.start) * share
        return round(value) if isinstance(self.start, int) and isinstance(self.end, int) else value

    @property
    def exact(self) -> Schedule:
        """The same between numbers that need not be whole."""
        return Schedule(float(self.start), float(self.end), self.steps, self.begin)

    @property
    def turns(self) -> tuple[int, int]:
        """The steps between which it changes."""
        return self.begin, self.begin + self.steps

    def __str__(self) -> str:
        after = f" after step {self.begin}" if self.begin else ""
        return f"{self.start:g} to {self.end:g} in {self.steps} steps{after}"


def is_schedule(value: Any) -> bool:
    """Whether a value of a recipe file is meant as a schedule: ``{ from = 0.0, to = 1.0, steps = 500 }``."""
    return isinstance(value, Mapping) and set(_NEEDED) <= set(value) <= set(_KEYS)


def mistaken_schedule(value: Any) -> str:
    """What to write instead of an option's table that looks like a schedule and is none; empty for any other."""
    if not isinstance(value, Mapping) or not {"from", "to"} <= set(value) or is_schedule(value):
        return ""
    return "; what follows the step is written { from = 4000, to = 1000, steps = 300 }"


def read_schedule(value: Mapping[str, Any]) -> Schedule:
    """The schedule that a table of a recipe file is.

    Raises:
        RecipeError: with the key of the table.
    """
    for key in value:
        if key not in _KEYS:
            raise RecipeError(f"{key!r} is not a key here; known are {', '.join(_KEYS)}")
    for key in _NEEDED:
        if key not in value:
            raise RecipeError(f"{key} is missing; write {{ from = 0.0, to = 1.0, steps = 500 }}")
    return Schedule(value["from"], value["to"], value["steps"], value.get("begin", 0))
