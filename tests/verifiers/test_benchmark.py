"""The table of the verifiers' rates is made of verifiers that there are, by calls that give verdicts."""

from __future__ import annotations

from benchmarks.verifiers.__main__ import WHY, measure, subjects
from reward_servers.core import Instance, Verdict, installed
from tests.verifiers.cases import judged


def test_rates_are_of_calls_that_give_verdicts() -> None:
    found = measure(["pattern", "equation"], 1, 0.01)
    assert {name for name, _, _ in found} == {"pattern", "equation"}
    assert all(microseconds > 0 and rate > 0 for _, microseconds, rate in found)
    instance = Instance(installed()["equation"].load(), b"{}")
    outcomes = [outcome for one in subjects("equation") for outcome in judged(instance, one)]
    assert sum(isinstance(outcome, Verdict) for outcome in outcomes) > len(outcomes) / 2


def test_what_is_explained_exists() -> None:
    assert set(WHY) <= installed().keys()
