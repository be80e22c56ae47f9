"""From test results to a number: the pass fraction, or all or nothing."""

from __future__ import annotations

from typing import Literal

Scoring = Literal["fraction", "all"]
SCORINGS: tuple[Scoring, ...] = ("fraction", "all")


def score(passed: int, total: int, scoring: Scoring) -> float:
    """Score of a submission in [0, 1].

    Args:
        passed: Number of accepted tests.
        total: Number of tests, at least one.
        scoring: `fraction` of the tests, or `all`: 1 only if every test was accepted.
    """
    if total < 1 or not 0 <= passed <= total:
        raise ValueError(f"{passed} of {total} tests")
    return passed / total if scoring == "fraction" else float(passed == total)
