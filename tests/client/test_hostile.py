"""Replicas that answer wrongly: beside one that works nothing is lost or changed; alone they score nothing wrongly."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from tests.client.hostile_pages import PAGES, serve_page
from tests.client.hostile_server import COLUMNS, INFOS, KINDS, TWISTS, Hostile, serve
from trainer_client import (
    AsyncRewardClient,
    Batching,
    Outcome,
    Recipe,
    Retries,
    Reward,
    RewardError,
    Rollout,
    ScoreTable,
)

COUNT = 64
RETRIES = Retries(
    initial_backoff_s=0.002, max_backoff_s=0.02, unavailable_timeout_s=0.6, heartbeat_timeout_s=5.0, stall_timeout_s=0.3
)
BESIDE = replace(RETRIES, unavailable_timeout_s=60.0)
BATCHING = Batching(max_items=16)
NOT_ASKED_BESIDE = {*PAGES, *INFOS} - {"one item a call", "one byte a message"}
"""Kinds that a client does not even ask for scores, since another replica is up."""
SCORES_RIGHTLY = {"one item a call", "one byte a message", "another digest"}
"""Kinds whose only fault lies in what they are beside others."""


def rollouts() -> list[Rollout]:
    return [Rollout(f"r{n}", f"prompt {n // 4}", str(n / COUNT), group_id=f"g{n // 4}") for n in range(COUNT)]


def recipe(deadline: float) -> Recipe:
    return Recipe(rewards=(Reward("main", "echo", deadline_s=deadline),), max_missing=1.0)


@asynccontextmanager
async def hostile(kind: str, trivial: bool, columns: bool = False) -> AsyncIterator[tuple[str, Hostile]]:
    peer = Hostile(kind, trivial=trivial, columns=kind in COLUMNS or columns)
    async with serve_page(kind) if kind in PAGES else serve(peer) as address:
        yield address, peer


def check(table: ScoreTable) -> None:
    """Whatever has a score has the right one, and what has none says why."""
    scores, valid = table.scores[:, 0], table.valid[:, 0]
    np.testing.assert_array_equal(scores[valid], (np.arange(COUNT) / COUNT)[valid])
    assert np.isnan(scores[~valid]).all()
    assert set(table.outcomes[:, 0].tolist()) <= {Outcome.VERDICT, Outcome.FAULT, Outcome.SKIP}
    assert "not_asked" not in table.codes


def test_there_are_enough_kinds() -> None:
    assert len(KINDS) == len(set(KINDS)) >= 70


async def score_until(client: AsyncRewardClient, asked: Callable[[], bool]) -> None:
    """Score batch after batch until the bad replica was asked: on a loaded machine its connection takes its time.

    So does a result there, and a call counts as stalled after some times what results usually take.
    """
    ends = time.monotonic() + 20.0
    while True:
        async with asyncio.timeout(240):
            table = await client.score(rollouts())
        check(table)
        assert table.valid.all()
        if asked() or time.monotonic() > ends:
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("trivial", [False, True], ids=["streamed", "at once"])
@pytest.mark.parametrize("kind", KINDS)
async def test_beside_a_replica_that_works(kind: str, trivial: bool) -> None:
    async with (
        hostile(kind, trivial) as (address, peer),
        serve(Hostile("works", trivial=trivial)) as good,
        AsyncRewardClient(recipe(600.0), [good, address], retries=BESIDE, batching=BATCHING) as client,
    ):
        await score_until(client, lambda: bool(peer.calls) or kind in NOT_ASKED_BESIDE)
    assert peer.calls or kind in NOT_ASKED_BESIDE


@pytest.mark.parametrize("trivial", [False, True], ids=["streamed", "at once"])
@pytest.mark.parametrize("kind", KINDS)
async def test_alone(kind: str, trivial: bool) -> None:
    # What scores has all the time that it needs.
    right = kind in SCORES_RIGHTLY
    async with (
        hostile(kind, trivial) as (address, _),
        AsyncRewardClient(
            recipe(120.0 if right else 1.5), address, retries=BESIDE if right else RETRIES, batching=BATCHING
        ) as client,
        asyncio.timeout(180),
    ):
        try:
            table = await client.score(rollouts())
        except RewardError:
            assert not right
            return
    check(table)
    if right:
        assert table.valid.all()


@pytest.mark.parametrize("trivial", [False, True], ids=["streamed", "at once"])
@pytest.mark.parametrize("kind", [*TWISTS, "cut short", "silence half-way", "works"])
async def test_results_in_columns_beside_a_replica_that_writes_rows(kind: str, trivial: bool) -> None:
    async with (
        hostile(kind, trivial, columns=True) as (address, peer),
        serve(Hostile("works", trivial=trivial)) as good,
        AsyncRewardClient(recipe(600.0), [good, address], retries=BESIDE, batching=BATCHING) as client,
    ):
        await score_until(client, lambda: bool(peer.calls))
    assert peer.calls


@pytest.mark.parametrize("kind", ["all results and no end", "all results and noise without end"])
async def test_a_call_of_which_nothing_is_awaited_holds_no_batch(kind: str) -> None:
    async with (
        hostile(kind, trivial=False) as (address, _),
        AsyncRewardClient(recipe(600.0), address, batching=BATCHING) as client,
        asyncio.timeout(60),
    ):
        table = await client.score(rollouts())
    check(table)
    assert table.valid.all()


@pytest.mark.parametrize("kind", ["evidence that is no JSON", "evidence without end"])
async def test_evidence_that_cannot_be_read_is_shown_as_it_came(kind: str) -> None:
    async with hostile(kind, trivial=False) as (address, _), AsyncRewardClient(recipe(60.0), address) as client:
        table = await client.score(rollouts())
    check(table)
    for row in range(COUNT):
        assert list(table.cell(row, "main").evidence) == ["unreadable"]


async def test_an_item_is_read_from_columns_as_from_a_row() -> None:
    two = Recipe(rewards=(Reward("main", "echo"), Reward("again", "echo", tasks=("odd",))), max_missing=1.0)
    asked = rollouts()
    for rollout in asked[1::2]:
        rollout.task = "odd"
    async with (
        serve(Hostile("works", columns=True)) as columns,
        serve(Hostile("works")) as rows,
        AsyncRewardClient(two, columns, batching=BATCHING) as one,
        AsyncRewardClient(two, rows, batching=BATCHING) as other,
    ):
        tables = [await one.score(asked), await other.score(asked)]
    tables.append(pickle.loads(pickle.dumps(tables[0])))
    tables.append(ScoreTable.concat([pickle.loads(pickle.dumps(tables[0])), tables[0]]))
    for table in tables:
        np.testing.assert_array_equal(table.scores[:COUNT], tables[1].scores)
        np.testing.assert_array_equal(table.codes[:COUNT], tables[1].codes)
    for table in (tables[0], *tables[2:]):
        np.testing.assert_allclose(table.run_seconds[:COUNT, 0], (7 + np.arange(COUNT)) * 1e-6)
        assert table.cell(5, "main").run_seconds == pytest.approx(12e-6)
        assert not table.cached.any()


async def test_a_reply_that_no_replica_can_give_is_the_items_fault_and_the_replicas_stay() -> None:
    """One item gets the same unusable reply everywhere; the others are scored, and no replica is blamed for it."""
    peers = [Hostile("works"), Hostile("works")]
    asked = rollouts()
    asked[5].response = "7.5"
    async with (
        serve(peers[0]) as one,
        serve(peers[1]) as other,
        AsyncRewardClient(
            recipe(120.0), [one, other], retries=replace(BESIDE, stall_timeout_s=60.0), batching=BATCHING
        ) as client,
    ):
        table = await client.score(asked)
        assert table.codes[5, 0] == "invalid_reply"
        assert "7.5" in table.cell(5, "main").message
        assert table.valid[:, 0].sum() == COUNT - 1
        before = [peer.calls for peer in peers]
        await client.score(rollouts())
    assert all(peer.calls > count for peer, count in zip(peers, before, strict=True))
