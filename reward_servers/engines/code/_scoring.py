"""From test results to a number: the pass fraction, all or nothing, and the credit for improving over earlier turns."""

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


def improvement_reward(passed: int, total: int, previous_best: float, *, has_code: bool = True) -> float:
    """Reward of one turn of a multi-turn trajectory, with credit for improving on the turns before.

    The base is 1 for all tests, 0.2 from half of them, 0 for some, -0.1 for none, and -1 without code. Where an
    earlier turn had passed a fraction b > 0 and this one p < 1: p > b adds 0.1 (p - b) / (1 - b) to the base; else
    -0.1 + 0.1 (p - b) / b replaces it. A term for the form of the response is another verifier's.

    Source: Cobalt (contextual bandit learning for multi-turn code generation), reward of its released training code.

    Args:
        passed: Number of accepted tests.
        total: Number of tests, at least one.
        previous_best: Best pass fraction of the earlier turns, 0 for the first.
        has_code: Whether the response held any code.

    Returns:
        The reward, in [-1, 1].
    """
    if total < 1 or not 0 <= passed <= total:
        raise ValueError(f"{passed} of {total} tests")
    if not 0 <= previous_best <= 1:
        raise ValueError(f"previous_best must lie in [0, 1], not {previous_best}")
    if not has_code:
        return -1.0
    fraction = passed / total
    if passed == total:
        return 1.0
    base = 0.2 if fraction >= 0.5 else 0.0 if passed else -0.1
    if previous_best > 0:
        change = fraction - previous_best
        base = base + 0.1 * change / (1 - previous_best) if change > 0 else -0.1 + 0.1 * change / previous_best
    return max(-1.0, min(1.0, base))
