"""Reading vectors, calling what they are mapped to, comparing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


@dataclass(frozen=True)
class Case:
    """One vector: what went into a method and what came out."""

    method: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    output: Any
    note: str = ""
    function: str = ""

    def array(self, name: str) -> NDArray[np.float64]:
        """A numeric input, NaN and infinity read from their names."""
        return np.asarray(_numbers(self.inputs[name]), dtype=np.float64)

    def blocks(self, size_param: str, rows: int) -> NDArray[np.int64]:
        """Group ids of consecutive rows."""
        size = self.params[size_param] if size_param in self.params else self.inputs[size_param]
        return np.arange(rows) // int(size)


@dataclass(frozen=True)
class Entry:
    call: Callable[[Case], Any]
    rtol: float
    atol: float | None


@dataclass
class Outcome:
    """Vectors passed and failed under one label."""

    total: int = 0
    passed: int = 0
    mapped: bool = True
    failures: list[str] = field(default_factory=list)


TABLE: dict[str, Entry] = {}


def label(*names: str, rtol: float = 1e-5, atol: float | None = None) -> Callable[..., Any]:
    """Map labels to a function that turns a `Case` into the vector's output.

    ``atol`` is 1e-6 for vectors computed in float32 and 1e-9 for others, unless given.
    """

    def add(call: Callable[[Case], Any]) -> Callable[[Case], Any]:
        for name in names:
            if name in TABLE:
                raise ValueError(f"{name} is mapped twice")
            TABLE[name] = Entry(call, rtol, atol)
        return call

    return add


def load(paths: Iterable[str | Path]) -> list[Case]:
    """All vectors of some files, in order."""
    cases = []
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if line.strip():
                row = json.loads(line)
                texts = (str(row.get(name) or "") for name in ("note", "function"))
                cases.append(Case(row["method"], row["inputs"], row["params"], row["output"], *texts))
    return cases


def run(cases: Iterable[Case]) -> dict[str, Outcome]:
    """Call and compare; labels in order of appearance."""
    outcomes: dict[str, Outcome] = {}
    for case in cases:
        outcome = outcomes.setdefault(case.method, Outcome(mapped=case.method in TABLE))
        outcome.total += 1
        if not outcome.mapped:
            continue
        found = _check(TABLE[case.method], case)
        if found:
            outcome.failures.append(f"params {dict(case.params)} ({case.note}): {found[0]}")
        else:
            outcome.passed += 1
    return outcomes


def _check(entry: Entry, case: Case) -> list[str]:
    atol = entry.atol if entry.atol is not None else (1e-6 if case.params.get("dtype") == "float32" else 1e-9)
    expects_error = isinstance(case.output, Mapping) and set(case.output) == {"error"}
    try:
        actual = entry.call(case)
    except Exception as error:  # noqa: BLE001 - whatever a call raises is its outcome
        if expects_error and case.output["error"] in {c.__name__ for c in type(error).__mro__}:
            return []
        return [f"raised {error!r}"]
    if expects_error:
        return [f"returned {actual!r} where {case.output['error']} is expected"]
    return differences(case.output, actual, entry.rtol, atol)


def differences(expected: Any, actual: Any, rtol: float, atol: float, at: str = "output") -> list[str]:
    """Where two nested values disagree; numbers within ``atol + rtol * |expected|``, NaN equal to NaN."""
    if isinstance(actual, np.ndarray | np.generic):
        actual = actual.tolist()
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return [f"{at}: {actual!r} where a mapping is expected"]
        if set(expected) - set(actual):
            return [f"{at}: lacks {sorted(set(expected) - set(actual))}"]
        return [d for k in expected for d in differences(expected[k], actual[k], rtol, atol, f"{at}.{k}")]
    if isinstance(expected, list):
        if not isinstance(actual, Sequence) or isinstance(actual, str) or len(actual) != len(expected):
            return [f"{at}: {actual!r} where {len(expected)} entries are expected"]
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for i, (e, a) in pairs for d in differences(e, a, rtol, atol, f"{at}[{i}]")]
    if isinstance(expected, str) and isinstance(actual, float):
        expected = _SPECIAL.get(expected.lower(), expected)
    if _is_number(expected) and _is_number(actual):
        same = expected == actual or (math.isnan(expected) and math.isnan(actual))
        return (
            []
            if same or abs(actual - expected) <= atol + rtol * abs(expected)
            else [f"{at}: {actual!r} where {expected!r} is expected"]
        )
    return (
        []
        if type(expected) is type(actual) and expected == actual
        else [f"{at}: {actual!r} where {expected!r} is expected"]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return _SPECIAL[value.lower()] if isinstance(value, str) else (math.nan if value is None else value)
