"""What a call has held is freed when it ends, and not when the garbage collector comes by, which counts no bytes."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from trainer_client import AsyncRewardClient, Recipe, Retries, Reward, RewardClient, RewardError, Rollout
from trainer_client.testing import FakeServer, Fault, Verdict

Known = list[weakref.ref[Any]]
Blocking = Callable[[RewardClient, list[Rollout]], object]
Awaited = Callable[[AsyncRewardClient, list[Rollout]], Awaitable[object]]

_PATIENCE_S = 60.0
"""Seconds after which what is not freed never is. What is freed costs the turns of a loop."""


class Reference(dict[str, str]):
    """A reference that can be watched."""


def rollouts(turn: int) -> tuple[list[Rollout], Known]:
    """Rollouts of a group, and what tells whether they are there."""
    references = [Reference(answer="x") for _ in range(4)]
    made = [
        Rollout(f"{turn}/{n}", "asked", "answered", group_id=f"{turn}", reference=one)
        for n, one in enumerate(references)
    ]
    return made, [weakref.ref(one) for one in references]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    scripts: dict[str, Any] = {
        "right": lambda item: Verdict(1.0, aspects={"part": 0.5}),
        "grouped": lambda item: Verdict(1.0),
        "again": lambda item: Fault("busy", retryable=True) if item.attempt == 1 else Verdict(1.0),
    }
    with FakeServer(scripts, group_verifiers=("grouped",), aspects=("part",)) as server:
        yield server.address


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collector comes by."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


RECIPES = {
    "answered": Recipe(rewards=(Reward("main", "right"),)),
    "read from aspects": Recipe(rewards=(Reward("main", "right"), Reward("part", "right", aspect="part"))),
    "asked again": Recipe(rewards=(Reward("main", "again"),)),
    "judged as a group": Recipe(rewards=(Reward("main", "grouped"),)),
    "rejected": Recipe(rewards=(Reward("main", "unknown"),)),
}


def score(client: RewardClient, batch: list[Rollout]) -> None:
    _ = client.score(batch).rewards


def submit(client: RewardClient, batch: list[Rollout]) -> None:
    for future in [client.submit(one) for one in batch]:
        future.exception()


def submit_group(client: RewardClient, batch: list[Rollout]) -> None:
    for future in [client.submit(one, group_size=len(batch)) for one in batch]:
        future.exception()


def stream(client: RewardClient, batch: list[Rollout]) -> None:
    for table in client.stream(batch):
        _ = table.rewards


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("call", [score, submit, submit_group, stream])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_rollouts_of_a_call_are_freed_with_it(address: str, recipe: Recipe, call: Blocking) -> None:
    with RewardClient(recipe, address, retries=Retries(initial_backoff_s=0.001)) as client:
        for turn in range(2):  # what the first call makes is kept for all
            batch, known = rollouts(turn)
            with suppress(RewardError):
                call(client, batch)
            del batch
            ends = time.monotonic() + _PATIENCE_S
            while any(one() is not None for one in known) and time.monotonic() < ends:
                client.waits()  # a turn of the client's loop, which may still be ending the call
            assert [one() for one in known] == [None] * 4


async def score_async(client: AsyncRewardClient, batch: list[Rollout]) -> None:
    _ = (await client.score(batch)).rewards


async def submit_async(client: AsyncRewardClient, batch: list[Rollout]) -> None:
    await asyncio.gather(*map(client.submit, batch), return_exceptions=True)


async def submit_together(client: AsyncRewardClient, batch: list[Rollout]) -> None:
    await client.submit_together(batch)


async def stream_async(client: AsyncRewardClient, batch: list[Rollout]) -> None:
    tables: AsyncIterator[Any] = client.stream(batch)
    async for table in tables:
        _ = table.rewards


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("call", [score_async, submit_async, submit_together, stream_async])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
async def test_rollouts_of_an_awaited_call_are_freed_with_it(address: str, recipe: Recipe, call: Awaited) -> None:
    async with AsyncRewardClient(recipe, address, retries=Retries(initial_backoff_s=0.001)) as client:
        for turn in range(2):
            batch, known = rollouts(turn)
            with suppress(RewardError):
                await call(client, batch)
            del batch
            ends = time.monotonic() + _PATIENCE_S
            while any(one() is not None for one in known) and time.monotonic() < ends:
                await client.waits()
            assert [one() for one in known] == [None] * 4
