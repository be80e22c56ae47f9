"""Tests with two expected outputs exchanged, to see whether a policy fits tests that are wrong (Cobalt)."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._spec import CallTest, CallTests, StdioTest, StdioTests, TestSpec
from reward_servers.engines.published import unequal_places


def swapped(spec: TestSpec) -> TestSpec:
    """The same task with two different expected outputs in each other's place.

    Which two is drawn by the outputs themselves, so that the rollouts of a prompt meet the same tests.

    Raises:
        BadReferenceError: The tests have no expected outputs, or all are equal.
    """
    tests = spec.tests
    if isinstance(tests, StdioTests):
        return dataclasses.replace(spec, tests=StdioTests(tuple(_stdio(tests.tests))))
    if isinstance(tests, CallTests):
        return dataclasses.replace(spec, tests=dataclasses.replace(tests, tests=tuple(_calls(tests.tests))))
    raise BadReferenceError("tests", "have no expected outputs that could be exchanged", "Give stdio or call tests")


def _stdio(tests: Sequence[StdioTest]) -> list[StdioTest]:
    first, second = _places([test.expected for test in tests])
    exchanged = list(tests)
    exchanged[first] = dataclasses.replace(tests[first], expected=tests[second].expected)
    exchanged[second] = dataclasses.replace(tests[second], expected=tests[first].expected)
    return exchanged


def _calls(tests: Sequence[CallTest]) -> list[CallTest]:
    first, second = _places([repr(test.expected) for test in tests])
    exchanged = list(tests)
    for place, partner in ((first, tests[second]), (second, tests[first])):
        exchanged[place] = dataclasses.replace(
            tests[place], expected=partner.expected, alternatives=partner.alternatives
        )
    return exchanged


def _places(outputs: Sequence[str]) -> tuple[int, int]:
    places = unequal_places(outputs, seed=zlib.crc32("\0".join(outputs).encode("utf-8", "surrogatepass")))
    if places is None:
        raise BadReferenceError(
            "tests", "all expected outputs are equal, so none can be exchanged", "Leave the task out"
        )
    return places
