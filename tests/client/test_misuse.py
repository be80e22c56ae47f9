"""Things given in the wrong place: one line says what to give instead."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer_client import (
    AsyncRewardClient,
    Batching,
    Recipe,
    RecipeError,
    Retries,
    Reward,
    RewardClient,
    Rollout,
    RolloutError,
    RolloutFile,
)
from trainer_client.adapters.trl import reward_function
from trainer_client.recipe.schedules import Schedule

RECIPE = Recipe.loads('[rewards.a]\nverifier = "m"\n')
NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"math": NOWHERE}, "the addresses of the servers are the second argument"),
        (NOWHERE, "the second the addresses of the servers"),
        ("nowhere.toml", r"nowhere\.toml: there is no such file"),
        ('[rewards.a]\nverifier = "m"\n', r"Recipe\.loads"),
        (7, "found int"),
    ],
)
def test_what_is_no_recipe_is_named_where_it_is_given(given: Any, said: str) -> None:
    for face in (RewardClient, AsyncRewardClient, reward_function):
        with pytest.raises(RecipeError, match=said) as caught:
            face(given)
        assert "\n" not in str(caught.value)


_ODD: Any = {"text": "3", "half": 2.5, "five": 5, "fives": {"a": [5]}, "of numpy": np.int64(5)}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Batching(max_items=0), "batching.max_items: 0 is too little"),
        (lambda: Batching(max_items=_ODD["half"]), "batching.max_items: 2.5 is not a whole number"),
        (lambda: Batching(max_delay_s=-1), "batching.max_delay_s: -1 is negative"),
        (lambda: Retries(max_attempts=_ODD["text"]), "retries.max_attempts: '3' is not a whole number"),
        (lambda: Retries(budget_ratio=math.nan), "retries.budget_ratio: nan is not a number"),
        (lambda: Retries(unavailable_timeout_s=True), "retries.unavailable_timeout_s: True is not a number"),
        (lambda: Retries(max_backoff_s=10**400), "is not a number that can be counted with"),
        (lambda: Reward("a", "math", weight=10**400), "rewards.a.weight: 1000000"),
        (lambda: Reward("a", "math", weight=_ODD["text"]), "rewards.a.weight: '3' is not a finite number"),
        (lambda: Reward("a", "math", weight=True), "rewards.a.weight: True is not a finite number"),
        (lambda: Reward("a", "math", deadline_s=_ODD["text"]), "rewards.a.deadline_s: '3' is not a positive number"),
        (lambda: Reward("a", "math", max_cpu_s=math.inf), "rewards.a.max_cpu_s: inf is not a positive number"),
        (lambda: Schedule(0, 10**400, 5), "is not a finite number"),
        (lambda: Schedule(0, _ODD["of numpy"], 5), "is not a finite number"),
        (lambda: Recipe.loads("[client.batching]\nmax_items = 0\n"), "client.batching.max_items: 0 is too little"),
        (lambda: RewardClient(RECIPE, _ODD["five"]), "endpoints: expected addresses"),
        (lambda: RewardClient(RECIPE, _ODD["fives"]), "endpoints.a: expected addresses"),
    ],
)
def test_amounts_and_addresses_that_are_none_are_named(make: Callable[[], object], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    assert said in str(caught.value)


def test_amounts_of_numpy_are_amounts() -> None:
    number: Any = np.int64(5)
    half: Any = np.float32(0.5)
    assert type(Reward("a", "math", weight=half).weight) is float
    assert Batching(max_items=number, max_delay_s=np.float64(0.5)).max_items == 5
    assert Retries(unavailable_timeout_s=math.inf, stall_timeout_s=0).stall_timeout_s == 0


def test_a_path_is_a_recipe_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[rewards.a]\nverifier = "m"\n')
    for given in (path, str(path)):
        with RewardClient(given, NOWHERE) as client:
            assert client.recipe == RECIPE
            assert client.with_recipe(given).recipe == RECIPE
        assert reward_function(given, NOWHERE, name="f").__name__ == "f"


WRONG = [
    ({"rollout_id": "a"}, r"Rollout\(\*\*fields\)"),
    ("rollouts.jsonl", r"read_rollouts\(path\)\.rollouts"),
    (RolloutFile([Rollout("a", "p", "r")]), r"\.rollouts"),
    (3, "found int"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[type(given).__name__ for given, _ in WRONG])
def test_what_is_no_rollout_is_named_where_it_is_given(given: Any, said: str) -> None:
    async def awaited() -> None:
        async with AsyncRewardClient(RECIPE, NOWHERE) as client:
            with pytest.raises(RolloutError, match=said):
                await client.score([given])
            with pytest.raises(RolloutError, match=said):
                client.submit(given)

    asyncio.run(awaited())
    with RewardClient(RECIPE, NOWHERE) as client:
        for call in (client.submit, lambda one: client.score([one]), client.score):
            with pytest.raises(RolloutError, match=said):
                call(given)
