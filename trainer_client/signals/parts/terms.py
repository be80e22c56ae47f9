"""`Term` and `Gate`: what a recipe says about one column of the score table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import OptionError

Action = Literal["mask", "floor", "drop_group", "abort"]

Optional = Literal["neutral", "omit", "renormalise"]

Comparison = Literal[">=", ">", "<=", "<"]

_COMPARE = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on one score that must hold before later terms count.

    Attributes:
        threshold: compared with the score.
        comparison: how; the gate is open when ``score <comparison> threshold``.
        closed: the value that replaces all that a closed gate shuts out.
    """

    threshold: float
    comparison: Comparison = ">="
    closed: float = 0.0

    def __post_init__(self) -> None:
        if self.comparison not in _COMPARE:
            raise OptionError(f"gate: comparison {self.comparison!r} is not one of {', '.join(_COMPARE)}")
        if not (math.isfinite(self.threshold) and math.isfinite(self.closed)):
            raise OptionError("gate: threshold and closed must be finite numbers")

    def is_open(self, scores: FloatArray) -> BoolArray:
        """``[N]``: where the condition holds."""
        result: BoolArray = _COMPARE[self.comparison](scores, self.threshold)
        return result


@dataclass(frozen=True, slots=True)
class Term:
    """The part of one score in the reward.

    Attributes:
        name: shown in errors and reports.
        weight: factor of the score in the sum.
        required: whether a row without this score can be used at all.
        gate: makes the term a gate; a gate is always required.
        floor: the verifier's declared floor, given to a missing score whose action is ``floor``.
        on_missing: action per fault or skip code; ``"default"`` stands for every code not named. Default ``mask``.
    """

    name: str
    weight: float = 1.0
    required: bool = True
    gate: Gate | None = None
    floor: float | None = None
    on_missing: Mapping[str, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight):
            raise OptionError(f"{self.name}: weight {self.weight} is not finite")
        if self.gate is not None and not self.required:
            raise OptionError(f"{self.name}: a gate decides about the row and cannot be optional; require it")
        for code, action in self.on_missing.items():
            if action not in get_args(Action):
                raise OptionError(
                    f"{self.name}: on_missing[{code!r}] = {action!r} is not one of {', '.join(get_args(Action))}"
                )
        if "floor" in self.on_missing.values() and (self.floor is None or not math.isfinite(self.floor)):
            raise OptionError(f"{self.name}: on_missing asks for the floor, but no finite floor is declared")

    def action(self, code: str) -> Action:
        """What to do about a score missing under ``code``."""
        return self.on_missing.get(code, self.on_missing.get("default", "mask"))
