"""The metrics of rankings and of ordered classes are those of scikit-learn, on random grades."""

from __future__ import annotations

import json
import random

import pytest
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    label_ranking_average_precision_score,
    ndcg_score,
    precision_score,
    recall_score,
)

from reward_servers import Rollout
from reward_servers.engines.retrieval import ndcg
from reward_servers.verifiers.papers.ordinal import OrdinalOptions, OrdinalReference, ordinal
from reward_servers.verifiers.ranking.ranking import RankingOptions, RankingReference, ranking


@pytest.mark.parametrize("exponential", [False, True])
def test_ndcg_is_that_of_scikit_learn(exponential: bool) -> None:
    draw = random.Random(0)
    for _ in range(1000):
        grades = [float(draw.randint(0, 4)) for _ in range(draw.randint(2, 15))]
        k = draw.randint(1, 15)
        gains = [2**grade - 1 if exponential else grade for grade in grades]
        theirs = ndcg_score([gains], [list(range(len(grades), 0, -1))], k=k) if any(grades) else 0.0
        assert ndcg(grades, grades, k, exponential) == pytest.approx(theirs, abs=1e-9)


def test_the_other_metrics_of_a_ranking_are_those_of_scikit_learn() -> None:
    draw = random.Random(1)
    for _ in range(1000):
        relevant = [draw.randint(0, 1) for _ in range(draw.randint(2, 15))]
        relevant[draw.randrange(len(relevant))] = 1
        k = draw.randint(1, 15)
        names = [f"d{place}" for place in range(len(relevant))]
        graded = RankingReference(relevance=dict(zip(names, map(float, relevant), strict=True)))
        ours = ranking(Rollout(json.dumps(names)), graded, RankingOptions.model_validate({"k": k})).aspects
        cut, falling = relevant[:k], list(range(len(relevant), 0, -1))
        listed = [int(place < k) for place in range(len(relevant))]
        # Of one relevant document alone, the average precision of a ranking is its reciprocal rank.
        first = [int(place == relevant.index(1)) for place in range(len(relevant))]
        theirs = {
            "mrr": label_ranking_average_precision_score([first], [falling]) if any(cut) else 0.0,
            # Over as many as could stand there; theirs is over those that do.
            "map": average_precision_score(cut, falling[: len(cut)]) * sum(cut) / min(k, sum(relevant))
            if any(cut)
            else 0,
            "recall": recall_score(relevant, listed),
            # Places left empty count as misses.
            "precision": precision_score(relevant, listed) * len(cut) / k,
        }
        assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)


def test_kappa_is_that_of_scikit_learn() -> None:
    draw, number_of = random.Random(2), (10.0, 20.0, 50.0, 90.0)
    compared = 0
    for _ in range(1000):
        said, right = ([draw.randrange(4) for _ in range(length)] for length in [draw.randint(2, 12)] * 2)
        answer = OrdinalReference(answer=tuple(number_of[one] for one in right))
        given = Rollout(json.dumps([number_of[one] for one in said]))
        ours = ordinal(given, answer, OrdinalOptions.model_validate({})).aspects["kappa"]
        if len({*said, *right}) == 1:
            assert ours is None
            continue
        theirs = cohen_kappa_score(said, right, labels=[0, 1, 2, 3], weights="quadratic")
        assert ours == pytest.approx(theirs, abs=1e-9)
        compared += 1
    assert compared > 900
