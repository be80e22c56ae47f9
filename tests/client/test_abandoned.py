"""Work that no one waits for any more stops at the servers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.conftest import rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import AsyncRewardClient, Batching, BlockingCallError, Recipe, RewardClient, RolloutResult

Serve = Callable[..., Any]
SLOW = json.dumps({"score": 0.5, "delay_s": 3600.0})
"""Work whose calls can only be cancelled."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_closed_stream_ends_its_calls(serve: Serve, recipe: Recipe) -> None:
    server = Scripted()
    fast = json.dumps({"score": 0.5})
    async with AsyncRewardClient(recipe, await serve(server)) as client:
        stream = client.stream(rollouts_of([fast] * 4 + [SLOW] * 60))
        await anext(stream)
        await until(lambda: len(server.items) == 64)
        await stream.aclose()
        await until(lambda: not server.under_way)
        # The client goes on as it was.
        assert (await client.score(rollouts_of([fast] * 4))).valid.all()


async def test_a_cancelled_reader_ends_the_calls_of_its_stream(serve: Serve, recipe: Recipe) -> None:
    server = Scripted()
    async with AsyncRewardClient(recipe, await serve(server)) as client:

        async def read() -> None:
            async for _ in client.stream(rollouts_of([SLOW] * 64)):
                pass

        reading = asyncio.create_task(read())
        await until(lambda: len(server.items) == 64)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await until(lambda: not server.under_way)


def test_a_blocking_stream_that_is_closed_ends_its_calls(recipe: Recipe) -> None:
    fast = json.dumps({"score": 0.5})
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        stream = client.stream(rollouts_of([fast] * 4 + [SLOW] * 60))
        next(stream)
        server.wait_for_items(64)
        stream.close()
        asyncio.run(until(lambda: not server.under_way))


async def test_cancelled_futures_of_a_loop_end_their_calls(serve: Serve, recipe: Recipe) -> None:
    server = Scripted()
    async with AsyncRewardClient(recipe, await serve(server)) as client:
        futures = [client.submit(rollout) for rollout in rollouts_of([SLOW] * 64)]
        await until(lambda: len(server.items) == 64)
        for future in futures:
            future.cancel()
        await until(lambda: not server.under_way)


async def test_a_cancelled_task_that_awaits_futures_ends_their_calls(serve: Serve, recipe: Recipe) -> None:
    server = Scripted()
    async with AsyncRewardClient(recipe, await serve(server)) as client:

        async def score() -> None:
            await asyncio.gather(*(client.submit(rollout) for rollout in rollouts_of([SLOW] * 8)))

        scoring = asyncio.create_task(score())
        await until(lambda: len(server.items) == 8)
        scoring.cancel()
        await until(lambda: not server.under_way)


def test_cancelled_futures_of_threads_end_their_calls(recipe: Recipe) -> None:
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        futures = [client.submit(rollout) for rollout in rollouts_of([SLOW] * 64)]
        server.wait_for_items(64)
        assert all(future.cancel() for future in futures)
        asyncio.run(until(lambda: not server.under_way))
        assert all(future.cancelled() for future in futures)


def test_futures_cancelled_before_they_are_sent_are_not_sent(recipe: Recipe) -> None:
    # A call is under way, so what comes after it waits until a whole call has gathered, however slow the machine is.
    batching = Batching(max_items=64, max_delay_s=3600.0)
    with Scripted() as server, RewardClient(recipe, server.address, batching=batching) as client:
        rollouts = rollouts_of([SLOW] * 65)
        first = client.submit(rollouts[0])
        server.wait_for_items(1)
        for future in [client.submit(rollout) for rollout in rollouts[1:64]]:
            future.cancel()
        last = client.submit(rollouts[64])
        server.wait_for_items(2)
        first.cancel()
        last.cancel()
        asyncio.run(until(lambda: not server.under_way))
        assert {item.rollout_id for item in server.items} == {"r0", "r64"}


def test_a_cancelled_future_takes_no_result_of_others_away(recipe: Recipe) -> None:
    scripts = [json.dumps({"score": n / 64, "delay_s": 0.8}) for n in range(64)]
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        futures = [client.submit(rollout) for rollout in rollouts_of(scripts)]
        server.wait_for_items(64)
        for future in futures[::2]:
            future.cancel()
        assert [future.result(60).reward for future in futures[1::2]] == [n / 64 for n in range(1, 64, 2)]


def test_futures_of_threads_work_as_others_do(recipe: Recipe) -> None:
    scripts = [json.dumps({"score": n / 16, "delay_s": 0.02 * n}) for n in range(16)]
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        futures: list[concurrent.futures.Future[RolloutResult]] = [client.submit(r) for r in rollouts_of(scripts)]
        slow = client.submit(rollouts_of([SLOW], prefix="s")[0])
        done: list[float | None] = []
        for future in futures:
            future.add_done_callback(lambda f: done.append(f.result().reward))
        first = next(concurrent.futures.as_completed(futures, timeout=60))
        assert first.result().reward is not None
        assert not concurrent.futures.wait(futures, timeout=60).not_done
        assert concurrent.futures.wait([*futures, slow], timeout=0.05).not_done == {slow}
        with pytest.raises(TimeoutError):
            slow.result(0.05)
        with pytest.raises(TimeoutError):
            slow.exception(0.05)
        assert slow.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            slow.result()
        assert concurrent.futures.wait([slow], timeout=60).done == {slow}
        assert futures[3].exception() is None
        assert sorted(value for value in done if value is not None) == [n / 16 for n in range(16)]
        assert asyncio.run(_await(futures[5])).reward == 5 / 16


async def _await(future: concurrent.futures.Future[RolloutResult]) -> RolloutResult:
    return await asyncio.wrap_future(future)


def test_a_wait_with_a_timeout_outlasts_the_results_of_neighbours(recipe: Recipe) -> None:
    scripts = [json.dumps({"score": 0.5, "delay_s": 0.01 * n}) for n in range(64)]
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        futures = [client.submit(rollout) for rollout in rollouts_of(scripts)]
        assert futures[-1].result(60).reward == 0.5


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_what_a_callback_raises_costs_no_other_rollout(recipe: Recipe, error: type[BaseException]) -> None:
    def fail(future: object) -> None:
        raise error

    with Scripted() as service, RewardClient(recipe, service.address) as client:
        first, *others = (client.submit(rollout) for rollout in rollouts_of(['{"score": 0.5, "delay_s": 0.2}'] * 16))
        first.add_done_callback(fail)
        assert {future.result(60).reward for future in (first, *others)} == {0.5}
        assert client.score(rollouts_of(['{"score": 0.25}'], prefix="later")).scores.tolist() == [[0.25]]


def test_a_blocking_call_in_a_callback_is_refused_at_once(recipe: Recipe) -> None:
    with Scripted() as server, RewardClient(recipe, server.address) as client:
        errors: list[BaseException] = []
        called = threading.Event()

        def call(_: concurrent.futures.Future[RolloutResult]) -> None:
            for blocking in (
                lambda: client.score(rollouts_of(["x"])),
                client.describe,
                lambda: list(client.stream(rollouts_of(["x"]))),
            ):
                try:
                    blocking()
                except BlockingCallError as error:
                    errors.append(error)
            called.set()

        client.submit(rollouts_of([json.dumps({"score": 1.0, "delay_s": 0.05})])[0]).add_done_callback(call)
        assert called.wait(60)
        assert len(errors) == 3
        assert "submit()" in str(errors[0])
        assert client.score(rollouts_of(["x"], prefix="after")).valid.all()
