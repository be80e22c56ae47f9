"""`Laws`: what a method obeys, stated beside it and tried by the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class Laws:
    """What a method obeys besides what all do (masking, removal of masked rows, input checks); the tests try each.

    Attributes:
        shift: adding a constant to all rewards changes no advantage.
        scale: multiplying all rewards by a positive number leaves advantages (``invariant``), or multiplies them
            (``equivariant``). Invariance is tried with ``eps=0`` where the method has that option.
        constant: a group of equal rewards gets exactly 0.
        zero_sum: advantages of a group sum to 0.
        permutation: reordering rows reorders the result.
        removal: a masked row might as well not be there.
        finite: results are numbers, whatever the rewards.
        rewards: values that rewards may take.
        options: options to try the laws with, where the defaults would hide what the method does.
        inputs: inputs that these options ask for.
        prepare: makes inputs that were drawn at random consistent, where the method asks for that.
    """

    shift: bool = False
    scale: Literal["invariant", "equivariant"] | None = None
    constant: bool = False
    zero_sum: bool = False
    permutation: bool = True
    removal: bool = True
    finite: bool = True
    rewards: Literal["real", "binary"] = "real"
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    prepare: Callable[[dict[str, Any]], None] | None = None


def third_column(inputs: dict[str, Any]) -> None:
    """Format, outcome, reasoning: the reasoning is often not judged where the outcome is wrong."""
    for name in ("components", "components_valid"):
        inputs[name] = np.concatenate([inputs[name], inputs[name][:, :1]], axis=1)
    inputs["components"][:, :2] = inputs["components"][:, :2] > 0


def within_unit(inputs: dict[str, Any]) -> None:
    """Rewards and pass rates from 0 to 1."""
    for name in ("prior_values", "previous_best", "rewards"):
        if name in inputs:
            inputs[name] = np.abs(inputs[name]) % 1.0


def labelled(inputs: dict[str, Any]) -> None:
    """Pairs of which the first row is the preferred one."""
    rows = len(inputs["groups"])
    inputs["groups"] = np.arange(rows) // 2
    inputs["preferred"] = np.arange(rows) % 2 == 0
