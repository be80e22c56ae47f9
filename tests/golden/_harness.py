"""Reading vectors, calling what they are mapped to, comparing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainer_client.signals._golden import GOLDEN, SPECIAL, Case, Entry


@dataclass
class Outcome:
    """Vectors passed and failed under one label."""

    total: int = 0
    passed: int = 0
    mapped: bool = True
    failures: list[str] = field(default_factory=list)


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
        outcome = outcomes.setdefault(case.method, Outcome(mapped=case.method in GOLDEN))
        outcome.total += 1
        if not outcome.mapped:
            continue
        found = _check(GOLDEN[case.method], case)
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
        expected = SPECIAL.get(expected.lower(), expected)
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
