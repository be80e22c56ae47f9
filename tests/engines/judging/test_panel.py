"""Votes of several judges."""

from __future__ import annotations

import math
from itertools import product

import pytest

from reward_servers.engines.judging import Belief, Vote, agreement, combine, decided


def votes(*scores: float) -> list[Vote]:
    return [Vote(str(place), score) for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("how", "scores", "expected"),
    [
        ("mean", (0.0, 0.5, 1.0, 1.0), 0.625),
        ("median", (0.0, 0.2, 1.0), 0.2),
        ("median", (0.0, 0.2, 0.4, 1.0), 0.3),
        ("trimmed_mean", (0.0, 0.5, 0.7, 1.0), 0.6),
        ("trimmed_mean", (0.0, 1.0), 0.5),
        ("majority", (1.0, 0.6, 0.0), 1.0),
        ("majority", (1.0, 0.0), 0.5),
    ],
)
def test_ways_to_combine(how: str, scores: tuple[float, ...], expected: float) -> None:
    assert combine(votes(*scores), how) == pytest.approx(expected)


def test_weights_count() -> None:
    weighted = [Vote("a", 1.0, 3.0), Vote("b", 0.0, 1.0), Vote("c", 0.0, 1.0)]
    assert combine(weighted, "mean") == pytest.approx(0.6)
    assert combine(weighted, "majority") == 1.0
    with pytest.raises(ValueError, match="no vote"):
        combine([], "mean")
    with pytest.raises(ValueError, match="not one of"):
        combine(weighted, "vote")


def test_a_majority_is_decided_when_no_further_vote_can_change_it() -> None:
    weights = [2.0, 1.0, 1.0, 1.0]
    for said in product((0.0, 1.0), repeat=4):
        all_votes = [Vote(str(place), one, weights[place]) for place, one in enumerate(said)]
        for known in range(5):
            ends = set()
            for tail in product((0.0, 1.0), repeat=4 - known):
                rest = [Vote("x", end, weight) for end, weight in zip(tail, weights[known:], strict=True)]
                ends.add(combine([*all_votes[:known], *rest], "majority"))
            assert decided(all_votes[:known], weights[known:]) == (len(ends) == 1 and ends != {0.5})


def test_agreement() -> None:
    assert agreement(votes(1.0)) == 1.0
    assert agreement(votes(1.0, 0.9, 0.1)) == pytest.approx(1 / 3)


def test_beliefs_follow_bayes_and_the_judge_that_tells_most_for_its_cost_is_asked() -> None:
    belief = Belief(0.3)
    after = belief.after(True, 0.8, 0.1)
    assert after.right == pytest.approx(0.3 * 0.8 / (0.3 * 0.8 + 0.7 * 0.1))
    assert Belief(0.5).worth_of_asking(0.5, 0.5) == pytest.approx(0.0, abs=1e-12)
    noise = 0.11
    capacity = 1 + noise * math.log2(noise) + (1 - noise) * math.log2(1 - noise)
    assert Belief(0.5).worth_of_asking(1 - noise, noise) == pytest.approx(capacity)
    judges = {"good": (0.95, 0.05, 10.0), "cheap": (0.7, 0.3, 1.0)}
    assert Belief(0.5).next_judge(judges, 0.0) == "good"
    assert Belief(0.5).next_judge(judges, 0.1) == "cheap"
    assert Belief(0.5).next_judge(judges, 1.0) is None
    assert Belief(0.5).next_judge({}, 0.0) is None
