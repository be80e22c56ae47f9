"""Callers of every kind: threads, loops, processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.client.conftest import Process, rollouts_of
from trainer_client import AsyncRewardClient, Batching, ClientClosedError, Recipe, RewardClient, Rollout, RolloutResult

TEXTS = ['{"score": %s}' % (n / 8) for n in range(8)]
SCORES = [n / 8 for n in range(8)]


@pytest.fixture
def server(spawn: Callable[..., Process]) -> str:
    return spawn().address


@pytest.fixture
def client(server: str, recipe: Recipe) -> Iterator[RewardClient]:
    with RewardClient(recipe, server) as made:
        yield made


def scores(client: RewardClient) -> list[float]:
    found: list[float] = client.score(rollouts_of(TEXTS)).scores[:, 0].tolist()
    return found


def test_from_many_threads(client: RewardClient) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: scores(client), range(32)))
    assert found == [SCORES] * 32


def test_from_several_loops_one_after_another_and_at_once(server: str, recipe: Recipe) -> None:
    client = AsyncRewardClient(recipe, server)

    async def call() -> list[float]:
        return list((await client.score(rollouts_of(TEXTS))).scores[:, 0])

    assert asyncio.run(call()) == SCORES
    assert asyncio.run(call()) == SCORES
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: asyncio.run(call()), range(8))) == [SCORES] * 8
    asyncio.run(client.close())


def test_singles_from_many_threads_and_loops_are_merged(client: RewardClient, server: str, recipe: Recipe) -> None:
    shared = AsyncRewardClient(recipe, server)

    async def many(name: int) -> list[float | None]:
        rollouts = rollouts_of(TEXTS, prefix=f"l{name}")
        return [s.reward for s in await asyncio.gather(*(shared.submit(r) for r in rollouts))]

    def blocking(name: int) -> list[float | None]:
        futures = [client.submit(r) for r in rollouts_of(TEXTS, prefix=f"t{name}")]
        return [future.result(60).reward for future in futures]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        first = threads.map(lambda name: asyncio.run(many(name)), range(4))
        second = threads.map(blocking, range(4))
        assert list(first) + list(second) == [SCORES] * 8
    asyncio.run(shared.close())


def test_a_lone_sample_does_not_wait_for_company(server: str, recipe: Recipe) -> None:
    with RewardClient(recipe, server, batching=Batching(max_delay_s=3600.0)) as client:
        for rollout in rollouts_of(TEXTS[:3]):
            assert client.submit(rollout).result(60).reward is not None


async def test_rollouts_that_are_answered_together_are_those_of_submit(server: str, recipe: Recipe) -> None:
    twice = Rollout("same", "p", '{"score": 0.5}')
    other_prompt = Rollout("other", "q", '{"score": 0.25}', group_id="same")
    asked = [*rollouts_of(TEXTS), twice, twice, other_prompt]
    async with AsyncRewardClient(recipe, server) as client:
        results = await client.submit_together(asked)
        assert [result.reward for result in results if isinstance(result, RolloutResult)] == [*SCORES, 0.5, 0.5, 0.25]
        assert await client.submit_together([]) == []
        waiting = client.submit_together([Rollout("slow", "p", '{"score": 1, "sleep": 60}')])
        waiting.cancel()
    assert {type(error) for error in await client.submit_together(asked)} == {ClientClosedError}


def test_the_same_rollout_submitted_twice_is_answered_twice(client: RewardClient) -> None:
    rollout = Rollout("same", "p", '{"score": 0.5}')
    other_prompt = Rollout("other", "q", '{"score": 0.25}', group_id="same")
    futures = [client.submit(r) for r in (rollout, rollout, other_prompt)]
    assert [future.result(60).reward for future in futures] == [0.5, 0.5, 0.25]


def test_in_a_spawned_process(client: RewardClient) -> None:
    assert scores(client) == SCORES
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(scores, client).result(60) == SCORES


def test_a_client_can_be_pickled(client: RewardClient) -> None:
    table = client.score(rollouts_of(TEXTS))
    copy = pickle.loads(pickle.dumps(client))
    assert scores(copy) == SCORES
    copy.close()
    again = pickle.loads(pickle.dumps(table))
    assert again.scores.tolist() == table.scores.tolist()
    assert again.cell(3, "main") == table.cell(3, "main")
    assert again.advantages.tolist() == table.advantages.tolist()
    assert again.cell(3, "main").note == "said so"
    again.shed()
    assert again.cell(3, "main").note == ""
    assert again.run_seconds.tolist() == table.run_seconds.tolist()


def test_a_closed_client_says_so(server: str, recipe: Recipe) -> None:
    client = RewardClient(recipe, server)
    scores(client)
    client.close()
    client.close()
    with pytest.raises(ClientClosedError):
        scores(client)


def test_closing_ends_what_is_under_way(server: str, recipe: Recipe) -> None:
    client = RewardClient(recipe, server)
    future = client.submit(Rollout("slow", "p", '{"delay_s": 60.0}'))
    incomplete = client.submit(Rollout("one", "p", "x", "g"), group_size=2)
    found: list[BaseException] = []

    def wait() -> None:
        try:
            client.score([Rollout("slow too", "p", '{"delay_s": 60.0}')])
        except ClientClosedError as error:
            found.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    scores(client)
    unsent = client.submit(Rollout("unsent", "p", '{"delay_s": 60.0}'))
    client.close()
    for one in (future, incomplete, unsent):
        with pytest.raises(ClientClosedError):
            one.result(60)
    waiting.join(60)
    assert len(found) == 1


def test_a_client_that_is_never_used_starts_nothing(server: str, recipe: Recipe) -> None:
    before = set(threading.enumerate())
    RewardClient(recipe, server).close()
    # What earlier tests left behind may end meanwhile.
    assert set(threading.enumerate()) <= before


def test_a_client_that_is_dropped_ends_its_thread(server: str, recipe: Recipe) -> None:
    before = set(threading.enumerate())
    client = RewardClient(recipe, server)
    scores(client)
    (thread,) = (t for t in set(threading.enumerate()) - before if t.name == "trainer-client")
    del client
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
    # gRPC's own thread may go on.
    assert len(set(threading.enumerate()) - before) <= 1
