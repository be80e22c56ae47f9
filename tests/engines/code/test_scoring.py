"""Arithmetic of scores, against the published values of the improvement reward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.code import improvement_reward
from reward_servers.engines.code._scoring import score

GOLDEN = Path(__file__).parents[2] / "data" / "code_improvement.jsonl"
# Outputs of the published code; `form` is its term for the form of these responses, which is no part of ours.
PUBLISHED = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def test_fraction_and_all_or_nothing() -> None:
    assert score(3, 4, "fraction") == 0.75
    assert score(3, 4, "all") == 0.0
    assert score(4, 4, "all") == 1.0
    for passed, total in ((0, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="tests"):
            score(passed, total, "fraction")


@pytest.mark.parametrize("vector", PUBLISHED)
def test_improvement_reward_equals_the_published_code(vector: dict[str, Any]) -> None:
    got = improvement_reward(vector["passed"], vector["total"], vector["previous_best"], has_code=vector["has_code"])
    assert got == pytest.approx(vector["published"] - vector["form"], abs=1e-9)


@given(st.integers(1, 30).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), st.floats(0, 1))
def test_improvement_reward_stays_in_its_range(tests: tuple[int, int], best: float) -> None:
    passed, total = tests
    reward = improvement_reward(passed, total, best)
    assert -0.2 - 1e-9 <= reward <= 1.0
    assert (reward == 1.0) == (passed == total)


def test_improvement_reward_refuses_nonsense() -> None:
    for arguments in ((1, 0, 0.0), (2, 1, 0.0), (1, 2, 1.5)):
        with pytest.raises(ValueError, match=r"tests|previous_best"):
            improvement_reward(*arguments)
