"""What a client remembers of a run: saved, loaded, refused, carried along, never lost without a word."""

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
import pickle
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Process, rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import AsyncRewardClient, Batching, Recipe, Reward, RewardClient, ScoreTable, StateError

Serve = Callable[..., Awaitable[str]]

TOML = """
name = "spo run"
advantage = "spo"
[rewards.main]
verifier = "echo"
deadline_s = 20.0
weight = 1
"""
RECIPE = Recipe.loads(TOML)
SCORES = [1, 1, 0, 1, 0, 0, 0, 1]
TEXTS = [json.dumps({"score": score}) for score in SCORES]


@pytest.fixture
def address(spawn: Callable[..., Process]) -> str:
    return spawn().address


@pytest.fixture
def client(address: str) -> Iterator[RewardClient]:
    with RewardClient(RECIPE, address) as made:
        yield made


def step(client: RewardClient) -> list[float]:
    """One step of training: scores and moves the state on."""
    found: list[float] = client.score(rollouts_of(TEXTS)).advantages.tolist()
    return found


def test_a_saved_state_goes_on_where_it_was(client: RewardClient, address: str, tmp_path: Path) -> None:
    first, second, third = step(client), step(client), step(client)
    assert first != second != third
    with RewardClient(RECIPE, address) as again:
        assert step(again) == first
        saved = json.loads(json.dumps(again.state_dict()))
        assert step(again) == second
    path = tmp_path / "recipe.toml"
    path.write_text(TOML)
    with RewardClient(path, address) as resumed:
        resumed.load_state_dict(saved)
        assert [step(resumed), step(resumed)] == [second, third]


def test_a_state_is_no_copy_that_later_steps_change(client: RewardClient) -> None:
    step(client)
    saved = client.state_dict()
    kept = copy.deepcopy(saved)
    step(client)
    assert saved == kept
    assert client.state_dict() != kept


DIFFERENT = [
    ('advantage = "spo"', 'advantage = { name = "spo", prior = 0.25 }', ("advantage.0.prior",)),
    ('verifier = "echo"', 'verifier = "other"', ("rewards.main.verifier",)),
    ("weight = 1", "weight = 2", ("rewards.main.weight",)),
    ("weight = 1", "weight = 1\noptions = { a = 1 }", ("rewards.main.options",)),
    ("weight = 1", "gate = { at_least = 1.0 }", ("rewards.main.gate",)),
]


@pytest.mark.parametrize(("old", "new", "keys"), DIFFERENT, ids=[new for _, new, _ in DIFFERENT])
def test_a_state_of_another_recipe_is_refused_with_what_differs(
    client: RewardClient, address: str, old: str, new: str, keys: tuple[str, ...]
) -> None:
    step(client)
    saved = client.state_dict()
    with RewardClient(Recipe.loads(TOML.replace(old, new)), address) as other:
        before = other.state_dict()
        with pytest.raises(StateError, match="strict=False") as refused:
            other.load_state_dict(saved)
        assert refused.value.keys == keys
        assert all(key in str(refused.value) for key in keys)
        assert other.state_dict() == before
        other.load_state_dict(saved, strict=False)
        assert other.state_dict()["state"] == saved["state"]
    assert pickle.loads(pickle.dumps(refused.value)).keys == keys


def test_what_shapes_no_state_may_change(client: RewardClient) -> None:
    step(client)
    saved = client.state_dict()
    reward = replace(RECIPE.rewards[0], deadline_s=5.0, max_cpu_s=1.0)
    moved = Recipe((reward,), name="another name", advantage={"name": "spo"}, max_missing=0.5)
    with RewardClient(moved, "127.0.0.1:1") as elsewhere:
        elsewhere.load_state_dict(saved)
        assert elsewhere.state_dict() == saved


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda state: {"counts": []}, "not the state of a client"),
        (lambda state: {**state, "format": 7}, "format 7"),
        (lambda state: {**state, "state": {}}, "does not fit"),
    ],
)
def test_a_damaged_state_is_refused_whole(client: RewardClient, damage: Callable[[Any], Any], said: str) -> None:
    step(client)
    before = client.state_dict()
    with pytest.raises(StateError, match=said):
        client.load_state_dict(damage(before))
    assert client.state_dict() == before


def test_a_method_with_another_state_is_refused_even_when_not_strict(client: RewardClient, address: str) -> None:
    step(client)
    with RewardClient(replace(RECIPE, advantage="grpo"), address) as other:
        assert other.state_dict()["state"] == {}
        with pytest.raises(StateError, match="does not fit"):
            other.load_state_dict(client.state_dict(), strict=False)


def test_many_recipes_beside_it_do_not_push_a_state_out(client: RewardClient) -> None:
    first = step(client)
    for number in range(40):
        evaluation = client.with_recipe(replace(RECIPE, name=f"evaluation {number}"))
        assert step(evaluation) == first
    assert step(client) != first


def test_a_pickled_client_takes_its_state_along(client: RewardClient, address: str) -> None:
    step(client)
    twin = pickle.loads(pickle.dumps(client))
    second = step(client)
    assert step(twin) == second
    twin.close()
    with RewardClient(RECIPE, address) as fresh:
        step(fresh)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            assert pool.submit(step, fresh).result(60) == second


def test_a_pickled_table_says_that_its_state_is_elsewhere(client: RewardClient) -> None:
    table = client.score(rollouts_of(TEXTS))
    unread: ScoreTable = pickle.loads(pickle.dumps(table))
    assert unread.rewards.tolist() == table.rewards.tolist()
    with pytest.raises(StateError, match=r"read table\.advantages where"):
        _ = unread.advantages
    advantages = table.advantages
    assert pickle.loads(pickle.dumps(table)).advantages.tolist() == advantages.tolist()


def test_streams_move_the_state_of_their_client(client: RewardClient) -> None:
    before = client.state_dict()
    _ = ScoreTable.concat(list(client.stream(rollouts_of(TEXTS)))).advantages
    assert client.state_dict() != before


def test_closing_a_client_of_another_recipe_leaves_the_first_open(client: RewardClient) -> None:
    with client.with_recipe(replace(RECIPE, advantage="grpo")) as evaluation:
        evaluation.score(rollouts_of(TEXTS))
    step(client)


def test_recipes_that_say_the_same_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(TOML)
    assert Recipe.load(path) == RECIPE
    assert hash(Recipe.load(path)) == hash(RECIPE)
    assert len({RECIPE, Recipe.load(path), replace(RECIPE, max_missing=0.5)}) == 2
    one, true = (Recipe((Reward("a", "m", options={"x": x}),)) for x in (1, True))
    assert one != true
    options = {"x": 1}
    mine = Recipe((Reward("a", "m", options=options),))
    options["x"] = 2
    assert mine == one


async def test_equal_recipes_of_two_callers_share_a_batch(serve: Serve) -> None:
    service = Scripted()
    # A batch leaves when all eight have gathered: while one is under way, nothing else lets it leave.
    batching = Batching(max_items=len(TEXTS), max_delay_s=3600.0)
    async with AsyncRewardClient(RECIPE, await serve(service), batching=batching) as client:
        first = client.submit(rollouts_of([json.dumps({"score": 1, "delay_s": 3600.0})], prefix="first")[0])
        await asyncio.to_thread(service.wait_for_items)
        others = [client.with_recipe(Recipe.loads(TOML)) for _ in range(8)]
        rollouts = rollouts_of(TEXTS)
        results = await asyncio.gather(*(one.submit(r) for one, r in zip(others, rollouts, strict=True)))
        assert [one.reward for one in results] == SCORES
        assert len(service.requests) == 2
        first.cancel()
