"""Arithmetic of scores."""

from __future__ import annotations

import pytest

from reward_servers.engines.code._scoring import score


def test_fraction_and_all_or_nothing() -> None:
    assert score(3, 4, "fraction") == 0.75
    assert score(3, 4, "all") == 0.0
    assert score(4, 4, "all") == 1.0
    for passed, total in ((0, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="tests"):
            score(passed, total, "fraction")
