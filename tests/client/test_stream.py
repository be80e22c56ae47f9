"""Streams: groups go out as they complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import Process, rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import AsyncRewardClient, Recipe, RequestRejectedError, Reward, RewardClient, Rollout, ScoreTable
from trainer_client.signals import WholeBatchError

Serve = Callable[..., Any]
SCRIPTS = [json.dumps({"score": n / 32}) for n in range(32)]


async def arriving(rollouts: list[Rollout]) -> AsyncIterator[Rollout]:
    for rollout in rollouts:
        await asyncio.sleep(0.001)
        yield rollout


def check(tables: list[ScoreTable]) -> None:
    assert sorted(t.group_ids[0] for t in tables) == sorted(f"rg{n}" for n in range(8))
    for table in tables:
        check_group(table)


def check_group(table: ScoreTable) -> None:
    first = int(table.rollout_ids[0][1:])
    assert table.rollout_ids == [f"r{first + i}" for i in range(4)]
    np.testing.assert_array_equal(table.scores[:, 0], (first + np.arange(4)) / 32)
    assert len(set(table.group_ids)) == 1


@pytest.mark.parametrize("form", ["arriving", "iterator", "sequence", "groups"])
async def test_groups_come_out_complete(serve: Serve, recipe: Recipe, form: str) -> None:
    rollouts = rollouts_of(SCRIPTS)
    source: Any = {
        "arriving": arriving(rollouts),
        "iterator": iter(rollouts),
        "sequence": rollouts,
        "groups": iter([rollouts[i : i + 4] for i in range(0, 32, 4)]),
    }[form]
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        size = 4 if form in ("arriving", "iterator") else None
        check([table async for table in client.stream(source, group_size=size)])


async def test_interleaved_groups_without_a_size_complete_at_the_end(serve: Serve, recipe: Recipe) -> None:
    rollouts = rollouts_of(SCRIPTS)
    mixed = [rollouts[4 * (n % 8) + n // 8] for n in range(32)]
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        check([table async for table in client.stream(arriving(mixed), window=3)])


def test_a_blocking_stream(spawn: Callable[..., Process], recipe: Recipe) -> None:
    rollouts = rollouts_of(SCRIPTS)
    with RewardClient(recipe, spawn().address) as client:
        check(list(client.stream(iter(rollouts), group_size=4, window=2)))
        check(list(client.stream(rollouts)))


async def test_a_slow_group_does_not_hold_the_others(serve: Serve, recipe: Recipe) -> None:
    scripts = list(SCRIPTS)
    scripts[5] = json.dumps({"score": 5 / 32, "delay_s": 3600.0})
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        stream = client.stream(rollouts_of(scripts))
        others = [await anext(stream) for _ in range(7)]
        await stream.aclose()
    assert sorted(table.group_ids[0] for table in others) == [f"rg{n}" for n in range(8) if n != 1]
    for table in others:
        check_group(table)


async def test_joined_groups_equal_the_batch(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), advantage="grpo")
    rollouts = rollouts_of(SCRIPTS)
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        whole = await client.score(rollouts)
        tables = [table async for table in client.stream(rollouts)]
    joined = ScoreTable.concat(sorted(tables, key=lambda table: int(table.rollout_ids[0][1:])))
    assert joined.rollout_ids == whole.rollout_ids
    np.testing.assert_array_equal(joined.scores, whole.scores)
    np.testing.assert_array_equal(joined.advantages, whole.advantages)
    assert joined.cell(17, "main") == whole.cell(17, "main")


async def test_an_estimator_over_the_batch_refuses_a_group(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), advantage={"name": "grpo", "scale": "batch"})
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        tables = [table async for table in client.stream(rollouts_of(SCRIPTS))]
        with pytest.raises(WholeBatchError):
            _ = tables[0].advantages
        whole = await client.score(rollouts_of(SCRIPTS))
    joined = ScoreTable.concat(sorted(tables, key=lambda table: int(table.rollout_ids[0][1:])))
    np.testing.assert_array_equal(joined.advantages, whole.advantages)


async def test_an_error_of_the_source_or_of_a_server_ends_the_stream(serve: Serve, recipe: Recipe) -> None:
    async def failing() -> AsyncIterator[Rollout]:
        yield Rollout("a", "p", "x")
        raise LookupError("the generator broke")

    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        with pytest.raises(LookupError, match="the generator broke"):
            _ = [table async for table in client.stream(failing())]
        wrong = Recipe(rewards=(Reward("main", "echo", options={"endpoint": "x"}),))
        with pytest.raises(RequestRejectedError, match="endpoint"):
            _ = [table async for table in client.with_recipe(wrong).stream(rollouts_of(SCRIPTS))]


async def test_labels_of_streams_and_singles_reach_the_server(serve: Serve, recipe: Recipe) -> None:
    service = Scripted()
    rollouts = rollouts_of(SCRIPTS[:8])
    async with AsyncRewardClient(recipe, await serve(service)) as client:
        _ = [table async for table in client.stream(rollouts[:4], run="run-7", step=3, seed=11)]
        await asyncio.gather(*(client.submit(r, seed=n % 2) for n, r in enumerate(rollouts[4:])))
    assert (service.requests[0].run, service.requests[0].step, service.requests[0].seed) == ("run-7", 3, 11)
    assert {request.seed for request in service.requests if request.run != "run-7"} == {0, 1}


def test_an_error_ends_a_blocking_stream_whose_window_is_full(spawn: Callable[..., Process]) -> None:
    wrong = Recipe(rewards=(Reward("main", "echo", options={"endpoint": "x"}),))
    with RewardClient(wrong, spawn().address) as client, pytest.raises(RequestRejectedError, match="endpoint"):
        list(client.stream(iter(rollouts_of(SCRIPTS)), group_size=4, window=2))
