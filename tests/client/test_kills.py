"""Servers die and come back; nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import Process, rollouts_of
from tests.ports import kept_port
from trainer_client import AsyncRewardClient, Batching, Recipe, Retries, Reward, RewardClient

Spawn = Callable[..., Process]


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


def slow_scripts(count: int, delay: float = 0.02) -> list[str]:
    return [json.dumps({"score": n / count, "delay_s": delay * (1 + n % 5)}) for n in range(count)]


async def test_a_replica_is_killed_in_the_middle(spawn: Spawn, recipe: Recipe, quick: Retries) -> None:
    servers = [spawn(), spawn(), spawn()]
    rollouts = rollouts_of(slow_scripts(480, delay=0.05))
    async with AsyncRewardClient(
        recipe, [server.address for server in servers], retries=quick, batching=Batching(max_items=32)
    ) as client:
        undisturbed = await client.score(rollouts)
        scoring = asyncio.create_task(client.score(rollouts))
        await asyncio.sleep(0.12)
        servers[1].kill()
        table = await scoring
    assert table.valid.all()
    np.testing.assert_array_equal(table.scores, undisturbed.scores)
    np.testing.assert_array_equal(table.advantages, undisturbed.advantages)


async def test_a_replica_that_hangs_loses_its_work_to_others(spawn: Spawn, quick: Retries) -> None:
    servers = [spawn(), spawn(), spawn()]
    rollouts = rollouts_of(slow_scripts(480, delay=0.05))
    recipe = Recipe(rewards=(Reward("main", "echo", deadline_s=600.0),))
    async with AsyncRewardClient(
        recipe,
        [server.address for server in servers],
        retries=replace(quick, heartbeat_timeout_s=0.5),
        batching=Batching(max_items=32),
    ) as client:
        undisturbed = await client.score(rollouts)
        scoring = asyncio.create_task(client.score(rollouts))
        await asyncio.sleep(0.12)
        servers[1].handle.send_signal(signal.SIGSTOP)
        table = await scoring
        servers[1].handle.send_signal(signal.SIGCONT)
        again = await client.score(rollouts)
    for found in (table, again):
        assert found.valid.all()
        np.testing.assert_array_equal(found.scores, undisturbed.scores)


async def test_an_item_that_blocks_servers_costs_no_other_its_score(spawn: Spawn) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo", deadline_s=600.0),), max_missing=0.1)
    scripts = [json.dumps({"score": n / 64}) for n in range(64)]
    scripts[11] = json.dumps({"block": 2.0})
    retries = Retries(initial_backoff_s=0.005, max_backoff_s=0.05, unavailable_timeout_s=60.0, heartbeat_timeout_s=0.5)
    servers = [spawn().address, spawn().address]
    async with AsyncRewardClient(recipe, servers, retries=retries, batching=Batching(max_items=16)) as client:
        table = await client.score(rollouts_of(scripts))
    assert table.codes[11, 0] == "unavailable"
    assert "alive" in table.cell(11, "main").message
    rest = np.arange(64) != 11
    np.testing.assert_array_equal(table.scores[rest, 0], np.arange(64)[rest] / 64)


async def test_the_only_replica_is_restarted(spawn: Spawn, recipe: Recipe, port: int) -> None:
    server = spawn(port)
    rollouts = rollouts_of(slow_scripts(64, delay=0.1))
    async with AsyncRewardClient(recipe, server.address, retries=Retries(unavailable_timeout_s=120.0)) as client:
        scoring = asyncio.create_task(client.score(rollouts))
        await asyncio.sleep(0.25)
        server.kill()
        again = await asyncio.to_thread(spawn, port)
        table = await scoring
        assert again.address == server.address
    np.testing.assert_array_equal(table.scores[:, 0], np.arange(64) / 64)


async def test_an_item_that_kills_servers_costs_no_other_its_score(spawn: Spawn, port: int) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo", deadline_s=60.0),), max_missing=0.1)
    scripts = [json.dumps({"score": n / 64}) for n in range(64)]
    scripts[11] = json.dumps({"exit": True})
    server = spawn(port)
    revived = asyncio.Event()

    async def revive() -> None:
        current: Any = server
        while not revived.is_set():
            if current.handle.poll() is not None:
                current = await asyncio.to_thread(spawn, port)
            await asyncio.sleep(0.02)

    reviving = asyncio.create_task(revive())
    retries = Retries(initial_backoff_s=0.005, max_backoff_s=0.05, unavailable_timeout_s=120.0)
    batching = Batching(max_items=16)
    async with AsyncRewardClient(recipe, server.address, retries=retries, batching=batching) as client:
        table = await client.score(rollouts_of(scripts))
    revived.set()
    await reviving
    assert table.codes[11, 0] == "unavailable"
    rest = np.arange(64) != 11
    np.testing.assert_array_equal(table.scores[rest, 0], np.arange(64)[rest] / 64)


def test_a_new_version_behind_the_same_address_is_not_used(spawn: Spawn, recipe: Recipe, port: int) -> None:
    server = spawn(port)
    rollouts = rollouts_of(slow_scripts(8))
    with RewardClient(recipe, server.address, retries=Retries(unavailable_timeout_s=60.0)) as client:
        client.score(rollouts)
        server.kill()
        spawn(port, digest="d2")
        with pytest.raises(Exception, match=r"127\.0\.0\.1:\d+ hosts d2"):
            client.score(rollouts)
