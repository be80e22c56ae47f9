"""Who meets whom."""

from __future__ import annotations

import pytest

from reward_servers.engines.ranking import spread_pairs, swiss_round, windows


@pytest.mark.parametrize("size", range(2, 12))
def test_pairs_are_spread_evenly(size: int) -> None:
    names = [f"r{place}" for place in range(size)]
    every = spread_pairs(names, 5, None)
    assert len({frozenset(pair) for pair in every}) == len(every) == size * (size - 1) // 2
    for most in range(1, len(every) + 1):
        pairs = spread_pairs(names, 5, most)
        assert len(pairs) == most
        counts = [sum(place in pair for pair in pairs) for place in range(size)]
        assert max(counts) - min(counts) <= 2
        if most >= (size + 1) // 2:
            assert min(counts) >= 1


@pytest.mark.parametrize("size", range(1, 9))
def test_windows_show_every_member_once_at_every_place(size: int) -> None:
    names = [f"r{place}" for place in range(6)]
    found = windows(names, 3, size)
    assert len(found) == 6
    assert all(len(set(window)) == len(window) == min(size, 6) for window in found)
    for place in range(min(size, 6)):
        assert sorted(window[place] for window in found) == list(range(6))
    turned = windows(names[::-1], 3, size)
    assert [[names[place] for place in one] for one in found] == [
        [names[::-1][place] for place in one] for one in turned
    ]


def test_swiss_rounds_pair_equal_points_first_and_no_pair_again() -> None:
    names = ["a", "b", "c", "d", "e"]
    assert {frozenset(pair) for pair in swiss_round(names, 1, [2, 0, 2, 0, 1], set())} >= {frozenset((0, 2))}
    met: set[frozenset[int]] = set()
    for _ in range(5):
        pairs = swiss_round(names, 1, [0.0] * 5, met)
        assert not met & {frozenset(pair) for pair in pairs}
        assert len({place for pair in pairs for place in pair}) == 2 * len(pairs)
        met |= {frozenset(pair) for pair in pairs}
    assert swiss_round(names[:2], 1, [0.0, 0.0], {frozenset((0, 1))}) == []
