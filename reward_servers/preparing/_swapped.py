"""Tests with two expected outputs exchanged (Cobalt)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from reward_servers.engines.published import unequal_places
from reward_servers.preparing._step import RowError, StepOptions, Table, step

_OUTPUTS = ("output", "stdout", "returns", "expected")


@step("swap-tests", StepOptions)
def swapped(row: Table, _: StepOptions, draws: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Two expected outputs of `reference.tests` exchanged: whether a policy fits tests that it knows to be wrong.

    A task whose expected outputs are all equal is left out.
    """
    reference = row.get("reference")
    tests = reference.get("tests") if isinstance(reference, dict) else None
    cases = tests.get("cases") if isinstance(tests, dict) else tests
    if not isinstance(reference, dict) or not isinstance(cases, list) or not all(isinstance(c, dict) for c in cases):
        raise RowError("reference.tests: expected a list of cases, or an object with one")
    columns = [next((name for name in _OUTPUTS if name in case), "") for case in cases]
    if not all(columns):
        raise RowError(f"reference.tests: each case needs its output, as {', '.join(_OUTPUTS)}")
    outputs = [case[name] for case, name in zip(cases, columns, strict=True)]
    output_texts = [output if isinstance(output, str) else json.dumps(output, sort_keys=True) for output in outputs]
    places = unequal_places(output_texts, seed=int(draws.integers(1 << 32)))
    if places is None:
        raise RowError("reference.tests: all expected outputs are equal, so none can be exchanged")
    first, second = places
    outputs[first], outputs[second] = outputs[second], outputs[first]
    cases = [{**case, name: value} for case, name, value in zip(cases, columns, outputs, strict=True)]
    swapped_tests = {**tests, "cases": cases} if isinstance(tests, dict) else cases
    yield {**row, "reference": {**reference, "tests": swapped_tests}}
