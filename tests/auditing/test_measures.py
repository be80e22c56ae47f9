"""Figures of an audit."""

from __future__ import annotations

import math

import pytest

from reward_servers.auditing import calibration, kappa, rate, slope_within


def test_rates_have_wilsons_interval() -> None:
    found = rate([True] * 3 + [False] * 7)
    assert (found.share, found.count, found.total) == (0.3, 3, 10)
    assert [found.low, found.high] == pytest.approx([0.1078, 0.6032], abs=1e-3)
    assert math.isnan(rate([]).share)


def test_the_slope_is_that_within_groups() -> None:
    # Between the groups longer is worse, within each of them longer is better.
    assert slope_within(["a", "a", "b", "b"], [1.0, 2.0, 5.0, 6.0], [0.8, 0.9, 0.1, 0.2]) == pytest.approx(0.1)
    assert slope_within(["a", "b"], [1.0, 2.0], [0.0, 1.0]) is None


def test_kappa_is_agreement_beyond_chance() -> None:
    assert kappa([True, False, True, False], [True, False, True, False]) == 1.0
    assert kappa([True, True, False, False], [True, False, True, False]) == 0.0
    assert kappa([True, True], [True, True]) is None
    assert kappa([], []) is None


def test_calibration() -> None:
    held = calibration([0.9, 0.9, 0.9, 0.9, 0.1], [1, 1, 1, 0, 0])
    assert held is not None
    assert held.accuracy == 0.8
    assert held.error == pytest.approx(0.8 * 0.15 + 0.2 * 0.1)
    assert held.brier == pytest.approx((3 * 0.01 + 0.81 + 0.01) / 5)
    assert (held.right_yes.share, held.wrong_yes.share) == (1.0, 0.5)
    assert [count for *_, count in held.bins] == [1, 4]
    assert calibration([], []) is None
