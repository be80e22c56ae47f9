"""Vectors: numbers that authors' code produced, and the calls of ours that they are mapped to.

A method's file maps the labels of its vectors with `golden`; ``python -m tests.golden`` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch

SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


@dataclass(frozen=True)
class Case:
    """One vector: what went into a method and what came out."""

    method: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    output: Any
    note: str = ""
    function: str = ""

    def array(self, name: str) -> FloatArray:
        """A numeric input, NaN and infinity read from their names."""
        return np.asarray(_numbers(self.inputs[name]), dtype=np.float64)

    def blocks(self, size_param: str, rows: int) -> IntArray:
        """Group ids of consecutive rows."""
        size = self.params[size_param] if size_param in self.params else self.inputs[size_param]
        return np.arange(rows) // int(size)

    def batch(self, **more: Any) -> SignalBatch:
        """The batch of a vector with rewards, groups (``group`` or ``groups``) and, where it has them, lengths."""
        groups = self.inputs["groups"] if "groups" in self.inputs else self.inputs["group"]
        return SignalBatch(self.array("rewards"), groups, lengths=self.inputs.get("lengths"), **more)

    def grouped(self, size_param: str) -> SignalBatch:
        """The batch of a vector with rewards of groups that stand together and are equal in size."""
        rewards = self.array("rewards")
        return SignalBatch(rewards, self.blocks(size_param, rewards.size))

    def components(self, **more: Any) -> SignalBatch:
        """The batch of a vector with rewards per function; NaN is a missing one."""
        table = self.array("rewards_per_func")
        present = np.isfinite(table)
        groups = self.blocks("num_generations", len(table)) if "num_generations" in self.inputs else None
        return SignalBatch(None, groups, components=np.where(present, table, 0.0), components_valid=present, **more)

    def scale(self, switch: str) -> Any:
        """``group`` or ``none``, by a switch that says whether to divide."""
        return "group" if self.params[switch] else "none"

    def released(self, name: str) -> str:
        """The release's own method for equal rewards, where ours is exactly 0 on purpose."""
        return f"release/{name}" if np.ptp(self.array("rewards")) == 0 else name


@dataclass(frozen=True)
class Entry:
    """What a label is mapped to, and how closely numbers must agree."""

    call: Callable[[Case], Any]
    rtol: float
    atol: float | None


GOLDEN: dict[str, Entry] = {}
"""Mapped labels; complete once all stages are loaded."""


def golden(
    *labels: str, rtol: float = 1e-5, atol: float | None = None
) -> Callable[[Callable[[Case], Any]], Callable[[Case], Any]]:
    """Map labels to a function that turns a `Case` into the vector's output.

    Args:
        labels: the ``method`` of the vectors.
        rtol: how closely numbers must agree, relative to the expected one.
        atol: the same absolutely: 1e-6 for vectors computed in float32 and 1e-9 for others, unless given.

    Raises:
        ValueError: a label is mapped already.
    """

    def add(call: Callable[[Case], Any]) -> Callable[[Case], Any]:
        for name in labels:
            if name in GOLDEN:
                raise ValueError(f"{name} is mapped twice")
            GOLDEN[name] = Entry(call, rtol, atol)
        return call

    return add


def one_group(rows: int) -> IntArray:
    """Ids that put all rows into one group."""
    return np.zeros(rows, np.int64)


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return SPECIAL[value.lower()] if isinstance(value, str) else (math.nan if value is None else value)
