"""Predicted numbers that are right where they fall into the right class (FAKER-Air)."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import AllowInfNan, Field, field_validator, model_validator

from reward_servers import ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.ranking import quadratic_kappa
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken
from trainer_client.signals.shaping.ordinal_class import error_reward, ordinal_class_reward

_MOST = 4096
_LARGEST = 1e300
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_BETWEEN = re.compile(r"[\s,;]+")

Number = Annotated[float, AllowInfNan(False)]


class OrdinalReference(Reference):
    """The right numbers."""

    answer: Number | Annotated[tuple[Number, ...], Field(min_length=1, max_length=_MOST)] = Field(
        description="A number, or a list; those that are not above 0 are not scored."
    )

    @field_validator("answer")
    @classmethod
    def _check(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if not any(weight > 0 for weight in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("no number is above 0, so none would be scored")
        return value

    @property
    def values(self) -> tuple[float, ...]:
        """The right numbers."""
        return self.answer if isinstance(self.answer, tuple) else (self.answer,)


class OrdinalOptions(AnswerOptions):
    """The classes, and what a number in them is worth."""

    bounds: tuple[Number, ...] = Field(
        (15.0, 35.0, 75.0), min_length=1, description="Bounds between classes; a number at one is above it."
    )
    high_class: int = Field(2, ge=1, description="Classes from this one on, counted from 0, are the high side.")
    exact: float = Field(0.5, ge=0, le=1, description="For the right class.")
    coarse: float = Field(0.5, ge=0, le=1, description="For the right side.")
    false_alarm: float = Field(0.0, ge=0, le=1, description="Taken off for a high number where a low one is right.")
    reward: Literal["class", "inverse", "clipped", "exponential"] = Field(
        "class", description="The classes, or of the mean squared error m: 1 / (1 + m), 1 - min(m, 1), exp(-m / t)."
    )
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False, description="t of 'exponential'.")

    @model_validator(mode="after")
    def _check(self) -> OrdinalOptions:
        if any(bound >= following for bound, following in pairwise(self.bounds)):
            raise ValueError("bounds: each is larger than the one before")
        if self.high_class > len(self.bounds):
            raise ValueError(f"high_class: at most {len(self.bounds)}, the last class")
        if not self.exact + self.coarse:
            raise ValueError("exact, coarse: one of them is above 0")
        return self


@verifier(
    "ordinal",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects={"exact": 0.0, "side": 0.0, "alarms": 1.0, "kappa": -1.0, "error": _LARGEST},
)
def ordinal(rollout: Rollout, ref: OrdinalReference, options: OrdinalOptions) -> Score:
    """Whether numbers fall into the classes of the right ones, or how near they come.

    The answer is the numbers alone, as many as the reference has. The mean over them of `coarse * right side + exact *
    right class - false_alarm * alarm`, moved and scaled so that 0 is the worst and 1 the best. Aspects are shares;
    `kappa` is Cohen's with quadratic weights, where it is defined; `error` is the mean squared error. Sources:
    kaist-cvml/FAKER-Air aurora/rl/reward.py @2c208b85; Cohen (Psychological Bulletin 70, 1968).
    """
    text = answer_part(rollout, options)
    if text is None:
        return nothing_taken(options)
    numbers = _numbers(text)
    if numbers is None or len(numbers) != len(ref.values):
        expected = f"{len(ref.values)} numbers and nothing else"
        return Score.floor("malformed", f"expected {expected}" + (f", found {len(numbers)}" if numbers else ""))
    scored = np.array(ref.values) > 0
    predicted, true = np.array(numbers)[scored], np.array(ref.values)[scored]
    guess, real = (np.searchsorted(options.bounds, values, side="right") for values in (predicted, true))
    with np.errstate(over="ignore"):
        error = min(float(np.mean((predicted - true) ** 2)), _LARGEST)
    high, should = guess >= options.high_class, real >= options.high_class
    aspects = {
        "exact": float(np.mean(guess == real)),
        "side": float(np.mean(high == should)),
        "alarms": float(np.mean(high & ~should)),
        "kappa": quadratic_kappa(guess.tolist(), real.tolist()),
        "error": error,
    }
    if options.reward == "class":
        parts = {"exact": options.exact, "coarse": options.coarse, "false_alarm": options.false_alarm}
        raw = ordinal_class_reward(
            numbers, ref.values, bounds=options.bounds, high_class=options.high_class, exact=options.exact,
            coarse=options.coarse, false_alarm=options.false_alarm,
        )  # fmt: skip
        value = (raw + options.false_alarm) / sum(parts.values())
    else:
        value = float(error_reward([error], options.reward, temperature=options.temperature)[0])
    return Score(min(1.0, max(0.0, value)), aspects=aspects)


def _numbers(text: str) -> list[float] | None:
    """The numbers of a text that has only numbers, with or without brackets; None for any other text."""
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1].strip()
    pieces = _BETWEEN.split(bare, _MOST)
    if not all(_NUMBER.fullmatch(piece) for piece in pieces):
        return None
    numbers = [float(piece) for piece in pieces]
    return numbers if all(map(math.isfinite, numbers)) else None
