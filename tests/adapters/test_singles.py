"""The one rule for rewards that are missing, and single samples from every kind of caller."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import multiprocessing
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.surviving import KEYS, drawn, recipe
from trainer_client import Recipe, RecipeError, Rollout
from trainer_client.adapters.areal import RecipeReward
from trainer_client.adapters.fields import content_id, reference_of, response_of
from trainer_client.adapters.missing import Breaker, FaultRateError, MissingRewardError, check_on_missing
from trainer_client.adapters.numbers import means_of, numbers_of
from trainer_client.adapters.singles import SingleScorer, rollout_of_sample


def sample(number: int) -> Rollout:
    return rollout_of_sample("p", str(number), None)


def test_a_rate_of_faults_needs_enough_of_them() -> None:
    breaker = Breaker(0.2)
    for _ in range(31):
        breaker.count(True)
    with pytest.raises(FaultRateError, match=r"100% of the latest rollouts .* the judge is gone"):
        breaker.count(True, "the judge is gone")
    recovering = Breaker(0.2, window=40, min_count=10)
    for number in range(200):
        recovering.count(number % 5 == 4)  # a fifth is tolerated
    assert recovering.share == pytest.approx(0.2)
    Breaker(1.0).count(True)
    copy = pickle.loads(pickle.dumps(recovering))
    copy.count(True)


@pytest.mark.parametrize("rule", ["nothing", float("nan"), True, None])
def test_a_rule_that_is_none_is_refused(rule: object) -> None:
    with pytest.raises(RecipeError, match="on_missing"):
        check_on_missing(rule)  # type: ignore[arg-type]


def test_each_rule(server: str) -> None:
    down = next(number for number in range(100) if drawn("p", str(number)) is None)
    up = next(number for number in range(100) if drawn("p", str(number)) is not None)
    loaded = Recipe.loads(recipe())
    with pytest.raises(MissingRewardError, match="main: judge_unavailable: the judge is gone"):
        SingleScorer(loaded, server).score(sample(down))
    assert SingleScorer(loaded, server, on_missing="none").score(sample(down)).reward is None
    stated = SingleScorer(loaded, server, on_missing=-1.0).score(sample(down))
    assert (stated.reward, stated.valid) == (-1.0, False)
    assert stated.numbers() == dict.fromkeys(KEYS, 0.0)
    told = SingleScorer(loaded, server).score(sample(up))
    assert told.reward == drawn("p", str(up))
    assert told.reward is not None
    half = told.reward / 2
    assert told.numbers() == {**dict.fromkeys(KEYS, 1.0), "score/main": told.reward, "aspect/main.half": half}


def test_a_monitor_needs_no_siblings(server: str) -> None:
    watched = (
        '[rewards.main]\nverifier = "length"\noptions = { max = 9 }\n[rewards.watched]\nverifier = "test/outage"\n'
    )
    scorer = SingleScorer(Recipe.loads(recipe(watched + "weight = 0\nrequired = false\n")), server)
    found = scorer.score_all([sample(number) for number in range(8)])
    assert [one.reward for one in found] == [1.0] * 8
    given = [one.numbers() for one in found]
    assert {one["valid/watched"] for one in given} == {0.0, 1.0}
    assert len({tuple(one) for one in given}) == 1


def test_parts_of_verdicts_are_told_once_and_not_without_details(server: str) -> None:
    up = next(number for number in range(100) if drawn("p", str(number)) is not None)
    both = '[rewards.main]\nverifier = "test/outage"\n[rewards.part]\nverifier = "test/outage"\naspect = "half"\n'
    told = SingleScorer(Recipe.loads(recipe(both)), server).score(sample(up)).numbers()
    assert told.keys() == KEYS | {"score/part", "valid/part"}
    assert told["score/part"] == told["aspect/main.half"] == told["score/main"] / 2
    plain = SingleScorer(Recipe.loads(recipe(head="max_missing = 1.0\ndetails = false")), server)
    assert plain.score(sample(up)).numbers().keys() == {"valid", "score/main", "valid/main"}


def test_means_are_over_what_is_there() -> None:
    rows = [
        numbers_of(True, {"a": 1.0}, {"a": {"p": 0.5}}, {"a": ("p", "q")}),
        numbers_of(True, {"a": 0.5}, {"a": {"p": None}}, {"a": ("p", "q")}),
        numbers_of(False, {"a": None}, {}, {"a": ("p", "q")}),
    ]
    means = means_of(rows)
    assert means["valid"] == means["valid/a"] == pytest.approx(2 / 3)
    assert (means["score/a"], means["aspect/a.p"], means["aspect/a.q"]) == (0.75, 0.5, 0.0)
    assert means["valid/a.p"] == pytest.approx(1 / 3)
    assert means["valid/a.q"] == 0.0
    assert means_of([]) == {}


def test_many_callers_travel_together_from_threads_and_loops(server: str) -> None:
    scorer = SingleScorer(Recipe.loads(recipe()), server, on_missing="none", max_missing=1.0)
    expected = [drawn("p", str(number)) for number in range(64)]

    async def all_of_them() -> list[float | None]:
        told = await asyncio.gather(*(scorer.score_async(sample(number)) for number in range(64)))
        return [one.reward for one in told]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert [one.reward for one in pool.map(scorer.score, map(sample, range(64)))] == expected
        assert pool.submit(lambda: asyncio.run(all_of_them())).result() == expected
    assert asyncio.run(all_of_them()) == expected
    assert [one.reward for one in scorer.score_all([sample(number) for number in range(64)])] == expected


@pytest.mark.parametrize(
    "rewards",
    [
        '[rewards.main]\nverifier = "test/outage"\nrequired = false\n',
        '[rewards.main]\nverifier = "test/outage"\non_missing = { default = "drop_group" }\n',
        '[rewards.main]\nverifier = "agreement"\n',
    ],
)
def test_what_needs_siblings_is_refused(server: str, rewards: str) -> None:
    with pytest.raises(RecipeError, match="single samples"):
        SingleScorer(Recipe.loads(recipe(rewards)), server).score(sample(1))


_PART = st.text() | st.none() | st.booleans() | st.integers() | st.dictionaries(st.text(), st.text(), max_size=2)


@given(st.lists(_PART, max_size=3), st.lists(_PART, max_size=3))
def test_what_differs_has_another_name(one: list[object], other: list[object]) -> None:
    # 1, 1.0 and True are equal in Python, and no JSON value is another.
    same = json.dumps(one) == json.dumps(other)
    assert (content_id(*one) == content_id(*other)) is same


def test_a_name_is_the_same_in_every_process() -> None:
    assert content_id("p", "\ud83d 2", {"answer": [2, "é"]}, None) == "d6f164d38bc05a7cbb0355ab"


def test_labels_and_queries() -> None:
    assert reference_of("2") == {"answer": "2"}
    assert reference_of('{"answer": "2", "choices": null}') == {"answer": "2"}
    assert reference_of("{2}") == {"answer": "{2}"}
    assert reference_of(["2", "3"]) == {"answer": ["2", "3"]}
    assert reference_of(None) is None
    assert response_of("<s>p: 1+1?2</s><|im_end|>", "p: 1+1?") == "2"
    assert response_of("other", "p") is None


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_areal_in_processes_of_a_pool(server: str, tmp_path: Path, method: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe('[rewards.main]\nverifier = "exact"\ndeadline_s = 10.0\n'))
    reward = RecipeReward(str(path), server)
    assert reward("1+1?", "2", [1], [2], answer="2") == 1.0  # a connection of the parent's
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        told = [pool.submit(reward, "1+1?", text, [1], [2], answer="2") for text in ("2", "3", "2", "4")]
        assert [one.result(240) for one in told] == [1.0, 0.0, 1.0, 0.0]
    with pytest.raises(RecipeError, match="no column 'answer'; it has gold"):
        reward("1+1?", "2", [1], [2], gold="2")


def test_areal_is_not_given_time_that_it_turns_into_zeros(server: str) -> None:
    with pytest.raises(RecipeError, match="waits 15 s and then counts 0"):
        RecipeReward(Recipe.loads(recipe()), server)
