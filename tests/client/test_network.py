"""Connections go bad in the middle; nothing is lost as long as another replica answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np
import pytest

from tests.client.conftest import Process, rollouts_of
from tests.client.faulty_network import link
from trainer_client import AsyncRewardClient, Batching, Recipe, Retries, Reward

Spawn = Callable[..., Process]


@pytest.mark.parametrize("fault", ["silent", "mute", "trickle", "corrupt", "cut"])
async def test_work_behind_a_bad_connection_goes_elsewhere(spawn: Spawn, quick: Retries, fault: str) -> None:
    scripts = [json.dumps({"score": n / 480, "delay_s": 0.05 * (1 + n % 5)}) for n in range(480)]
    recipe = Recipe(rewards=(Reward("main", "echo", deadline=600.0),))
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
