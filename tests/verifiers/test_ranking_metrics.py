"""nDCG is that of scikit-learn, on random grades."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import ndcg_score

from reward_servers.engines.retrieval import ndcg


@pytest.mark.parametrize("exponential", [False, True])
def test_ndcg_is_that_of_scikit_learn(exponential: bool) -> None:
    draw = random.Random(0)
    for _ in range(1000):
        grades = [float(draw.randint(0, 4)) for _ in range(draw.randint(2, 15))]
        k = draw.randint(1, 15)
        gains = [2**grade - 1 if exponential else grade for grade in grades]
        theirs = ndcg_score([gains], [list(range(len(grades), 0, -1))], k=k) if any(grades) else 0.0
        assert ndcg(grades, grades, k, exponential) == pytest.approx(theirs, abs=1e-9)
