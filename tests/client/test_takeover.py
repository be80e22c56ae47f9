"""Work is spread from the first batch on, and does not stay where it makes no progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import rollouts_of
from tests.client.hostile_server import Hostile, serve
from trainer_client import AsyncRewardClient, Batching, Recipe, RequestRejectedError, Retries, Rollout
from trainer_client._transport import fleet
from trainer_client._transport.failures import CallFailure
from trainer_client._transport.liveness import LivenessProbe
from trainer_client._transport.replica import Replica
from trainer_client.testing import FakeServer, Item, Verdict

RECIPE = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 60.0\n')
QUICK = Retries(initial_backoff_s=0.005, max_backoff_s=0.05, stall_timeout_s=0.3)
SMALL = Batching(max_items=16)


def rollouts(count: int = 96) -> list[Rollout]:
    return [Rollout(f"r{n}", "p", str(n / count), group_id=f"g{n // 4}") for n in range(count)]


def works(item: Item) -> Verdict:
    return Verdict(float(item.response), delay_s=0.02)


def stuck(item: Item) -> Verdict:
    return Verdict(0.0, delay_s=3600.0)


@contextlib.asynccontextmanager
async def three_servers() -> AsyncIterator[list[FakeServer]]:
    async with (
        FakeServer({"echo": works}) as one,
        FakeServer({"echo": works}) as two,
        FakeServer({"echo": works}) as three,
    ):
        yield [one, two, three]


async def test_the_first_batch_of_a_client_is_spread_over_all_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    # It goes out once all have answered, however long they take on a machine that is busy.
    monkeypatch.setattr(fleet, "_START_GRACE", 60.0)
    async with three_servers() as servers:
        for _ in range(5):
            before = [len(server.items) for server in servers]
            async with AsyncRewardClient(RECIPE, [server.address for server in servers]) as client:
                await client.score(rollouts())
            assert [len(s.items) - known for s, known in zip(servers, before, strict=True)] == [32, 32, 32]


@pytest.mark.parametrize(("count", "shares"), [(96, [0, 0, 96]), (256, [0, 128, 128]), (600, [200, 200, 200])])
async def test_items_that_take_no_time_are_not_spread_thin(
    monkeypatch: pytest.MonkeyPatch, count: int, shares: list[int]
) -> None:
    monkeypatch.setattr(fleet, "_START_GRACE", 60.0)
    async with three_servers() as servers:
        for server in servers:
            server.cost = "trivial"
        async with AsyncRewardClient(RECIPE, [server.address for server in servers]) as client:
            await client.score(rollouts(count))
        assert sorted(len(server.items) for server in servers) == shares


@pytest.mark.parametrize("deterministic", [True, False])
async def test_a_replica_that_is_alive_without_progress_loses_its_items(deterministic: bool) -> None:
    async with FakeServer({"echo": stuck}) as bad, FakeServer({"echo": works}) as good:
        bad.deterministic = good.deterministic = deterministic
        async with AsyncRewardClient(RECIPE, [bad.address, good.address], retries=QUICK, batching=SMALL) as client:
            async with asyncio.timeout(60):
                table = await client.score(rollouts())
            np.testing.assert_array_equal(table.scores[:, 0], np.arange(96) / 96)
            assert bad.items
            # A cancellation reaches the server after the table is done.
            async with asyncio.timeout(60):
                while bad.cancelled < bad.stream_calls:
                    await asyncio.sleep(0.01)
            assert bad.cancelled == bad.stream_calls
            # It is passed over now.
            before = len(bad.items)
            await client.score(rollouts())
            assert len(bad.items) == before


async def test_two_replicas_are_asked_at_once_only_within_the_budget() -> None:
    async with FakeServer({"echo": stuck}) as bad, FakeServer({"echo": works}) as good:
        retries = replace(QUICK, hedge_ratio=0.0, budget_floor=0)
        async with AsyncRewardClient(RECIPE, [bad.address, good.address], retries=retries, batching=SMALL) as client:
            async with asyncio.timeout(60):
                table = await client.score(rollouts())
    assert table.valid.all()


async def test_what_only_takes_long_is_left_alone() -> None:
    def slow(item: Item) -> Verdict:
        return Verdict(float(item.response), delay_s=1.5)

    async with FakeServer({"echo": slow}) as server:
        async with AsyncRewardClient(RECIPE, server.address, retries=QUICK) as client:
            table = await client.score(rollouts())
        assert table.valid.all()
        assert len(server.items) == 96
        assert server.cancelled == 0


class _Dead:
    """A call that gives nothing, and of whose end gRPC does not tell."""

    def cancel(self) -> bool:
        return True

    def __aiter__(self) -> _Dead:
        return self

    async def __anext__(self) -> bytes:
        return bytes(await asyncio.get_running_loop().create_future())

    def __await__(self) -> Generator[Any, None, bytes]:
        return self.__anext__().__await__()


@pytest.mark.parametrize("trivial", [False, True], ids=["streamed", "at once"])
async def test_a_deadline_holds_where_grpc_does_not_tell_of_it(monkeypatch: pytest.MonkeyPatch, trivial: bool) -> None:
    for name in ("stream", "score"):
        monkeypatch.setattr(Replica, name, lambda *given: _Dead())
    recipe = Recipe.loads('max_missing = 1.0\n[rewards.main]\nverifier = "echo"\ndeadline_s = 0.3\n')
    async with serve(Hostile("works", trivial=trivial)) as address, AsyncRewardClient(recipe, address) as client:
        async with asyncio.timeout(60):
            table = await client.score(rollouts_of(["0.5"] * 8))
    assert set(table.codes[:, 0]) == {"deadline"}


async def test_a_replica_is_silent_where_grpc_does_not_tell_of_it() -> None:
    replica: Any = SimpleNamespace(outstanding=1, ask=lambda silence: asyncio.get_running_loop().create_future())
    told: list[CallFailure] = []
    probe = LivenessProbe(replica, 0.05, lambda _, failure: told.append(failure))
    probe.watch()
    async with asyncio.timeout(60):
        while not told:
            await asyncio.sleep(0.01)
    await probe.stop()
    assert told[0].code == "unavailable"


async def test_long_waits_are_logged_with_the_endpoint_and_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe.loads('max_missing = 1.0\n[rewards.main]\nverifier = "echo"\ndeadline_s = 3600.0\n')
    patient = Retries(report_interval_s=0.2, unavailable_timeout_s=3600.0)

    async def wait_until_said(client: AsyncRewardClient, *parts: str) -> None:
        """Score what is never done until that is logged."""
        scoring = asyncio.create_task(client.score(rollouts(8)))
        async with asyncio.timeout(60):
            while not any(all(part in words for part in parts) for words in caplog.messages):
                assert not scoring.done()
                await asyncio.sleep(0.01)
        scoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scoring

    with caplog.at_level(logging.WARNING, "trainer_client"):
        async with (
            FakeServer({"echo": stuck}) as server,
            AsyncRewardClient(recipe, server.address, retries=patient) as client,
        ):
            await wait_until_said(client, f"8 items wait at {server.address}")
        caplog.clear()
        async with AsyncRewardClient(recipe, "127.0.0.1:1", retries=patient) as client:
            await wait_until_said(client, "have waited for a replica", "127.0.0.1:1: UNAVAILABLE")
    hasty = replace(patient, unavailable_timeout_s=0.2)
    async with AsyncRewardClient(recipe, "127.0.0.1:1", retries=hasty) as client:
        table = await client.score(rollouts(8))
    assert set(table.codes[:, 0].tolist()) == {"unavailable"}


async def test_another_version_everywhere_is_said_at_once_with_both_digests() -> None:
    async with (
        FakeServer({"echo": works}) as one,
        FakeServer({"echo": works}) as two,
        AsyncRewardClient(RECIPE, [one.address, two.address], batching=SMALL) as client,
    ):
        await client.score(rollouts())
        one.digests["echo"] = two.digests["echo"] = "d2"
        async with asyncio.timeout(60):
            with pytest.raises(RequestRejectedError, match=r"pinned \(d1 of echo; .* hosts d2 of echo") as caught:
                await client.score(rollouts())
    assert caught.value.code == "digest_mismatch"


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_upgrade_within_a_version_is_followed_between_batches_if_the_recipe_says_so(version: str) -> None:
    recipe = Recipe.loads('max_missing = 1.0\nfollow_upgrades = true\n[rewards.main]\nverifier = "echo"\n')
    async with (
        FakeServer({"echo": works}) as server,
        AsyncRewardClient(recipe, server.address, retries=QUICK, batching=SMALL) as client,
    ):
        assert {known.digest for known in (await client.score(rollouts())).versions[0]} == {"d1"}
        server.digests["echo"], server.versions["echo"] = "d2", version
        # What the upgrade meets in the middle of a batch has a fault, and is not judged by another version.
        caught = await client.score(rollouts())
        assert set(caught.codes[:, 0].tolist()) == {"digest_mismatch"}
        table = await client.score(rollouts())
    assert table.valid.all() == (version == "1")
    assert {known.digest for known in table.versions[0]} == ({"d2"} if version == "1" else set())
