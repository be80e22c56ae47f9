"""Connections go bad in the middle; nothing is lost as long as another replica answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import Process, rollouts_of
from tests.client.faulty_network import link
from tests.client.scripted_server import Scripted
from trainer_client import AsyncRewardClient, Batching, Recipe, Retries, Reward
from trainer_client._transport.replica import Replica

Spawn = Callable[..., Process]


@pytest.mark.parametrize("fault", ["silent", "mute", "trickle", "corrupt", "cut"])
async def test_work_behind_a_bad_connection_goes_elsewhere(spawn: Spawn, quick: Retries, fault: str) -> None:
    scripts = [json.dumps({"score": n / 480, "delay_s": 0.05 * (1 + n % 5)}) for n in range(480)]
    recipe = Recipe(rewards=(Reward("main", "echo", deadline_s=600.0),))
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(link(spawn().address)) for _ in range(3)]
        client = await stack.enter_async_context(
            AsyncRewardClient(
                recipe,
                [one.address for one in links],
                retries=replace(quick, heartbeat_timeout_s=0.5),
                batching=Batching(max_items=32),
            )
        )
        await client.score(rollouts_of(scripts[:24]))
        scoring = asyncio.create_task(client.score(rollouts_of(scripts)))
        await asyncio.sleep(0.12)
        if fault == "cut":
            links[1].cut()
        else:
            links[1].fault = fault
        table = await scoring
        assert table.valid.all()
        np.testing.assert_array_equal(table.scores[:, 0], np.arange(480) / 480)
        links[1].fault = "none"
        links[1].cut()
        again = await client.score(rollouts_of(scripts))
    np.testing.assert_array_equal(again.scores, table.scores)


async def test_a_replica_whose_probe_fails_in_a_way_that_nobody_foresaw_is_asked_again(
    serve: Callable[..., Any], quick: Retries, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe, failures = Replica.describe, [ValueError("unforeseen"), RuntimeError("unforeseen")]

    async def describe_later(self: Replica) -> Any:
        if failures:
            raise failures.pop()
        return await describe(self)

    monkeypatch.setattr(Replica, "describe", describe_later)
    recipe = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 60.0\n')
    async with AsyncRewardClient(recipe, await serve(Scripted()), retries=quick) as client:
        table = await client.score(rollouts_of(['{"score": 0.5}']))
    assert table.scores.tolist() == [[0.5]]
    assert not failures
