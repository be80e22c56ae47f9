"""Scores from the outcomes of comparisons."""

from __future__ import annotations

import math

import pytest

from reward_servers.engines.ranking import Comparison, bradley_terry, chances_to_win, win_rates


def test_win_rates() -> None:
    played = [Comparison(0, 1, 1.0, 0.0), Comparison(0, 2, 0.5, 0.5), Comparison(1, 2, 0.0, 0.0)]
    assert win_rates(played, 4) == [0.75, 0.0, 0.25, None]


def test_strengths_solve_the_equations_of_the_likelihood() -> None:
    played = [
        Comparison(0, 1, 1.0, 0.0),
        Comparison(0, 1, 0.5, 0.5),
        Comparison(1, 2, 1.0, 0.0),
        Comparison(2, 0, 0.25, 0.75),
    ]
    prior = 0.1
    strengths = bradley_terry(played, 3, prior=prior)
    raw = bradley_terry(played, 3, prior=1e-6)
    assert sum(strengths) == pytest.approx(0.0, abs=1e-9)
    assert raw[0] > raw[1] > raw[2]
    # With next to no prior, what each member won is what its strength predicts.
    for member in range(3):
        won = sum(one.won if one.first == member else one.lost for one in played if member in one[:2])
        expected = sum(
            1 / (1 + math.exp(raw[one.second if one.first == member else one.first] - raw[member]))
            for one in played
            if member in one[:2]
        )
        assert won == pytest.approx(expected, abs=1e-3)


def test_who_won_everything_has_a_finite_strength_and_whom_one_met_counts() -> None:
    chain = [Comparison(0, 1, 1.0, 0.0), Comparison(1, 2, 1.0, 0.0), Comparison(2, 3, 1.0, 0.0)]
    strengths = bradley_terry(chain, 4)
    assert all(map(math.isfinite, strengths))
    assert strengths == sorted(strengths, reverse=True)
    assert win_rates(chain, 4)[1] == win_rates(chain, 4)[2]
    assert bradley_terry([], 2) == [0.0, 0.0]
    with pytest.raises(ValueError, match="prior"):
        bradley_terry(chain, 4, prior=0.0)


def test_chances_to_win_lie_between_0_and_1_and_average_one_half() -> None:
    chances = chances_to_win([2.0, 0.0, -2.0])
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1.5)
    assert chances_to_win([1.0]) == [0.5]
