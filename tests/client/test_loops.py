"""Loops of clients that are closed while gRPC still has something to tell them, or that wait for names."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.client.conftest import rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import Recipe, RewardClient, ServerUnavailableError, describe_server
from trainer_client._transport import loop as loops
from trainer_client._transport import tls_check
from trainer_client._transport.loop import PrivateLoop

SLOW = json.dumps({"score": 0.5, "delay_s": 60.0})


def test_a_client_that_is_closed_with_calls_under_way_troubles_no_other(
    recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    with Scripted() as server, RewardClient(recipe, server.address) as other:
        for number in range(30):
            with RewardClient(recipe, server.address) as client:
                client.submit(rollouts_of([SLOW], prefix=f"n{number}-")[0])
                server.wait_for_items(2 * number + 1)
            describe_server(server.address)
            (result,) = other.score(rollouts_of([json.dumps({"score": 0.25})], prefix=f"o{number}-")).rewards
            assert result == 0.25
    # Older releases of gRPC log that two loops looked for one event, which harms nothing.
    assert "Event loop is closed" not in caplog.text


def test_a_closed_loop_refuses_what_is_not_of_grpc() -> None:
    loop = PrivateLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run_coroutine_threadsafe(coroutine, loop)
    coroutine.close()


class AwayNames:
    """A name service that answers no one until it is told to.

    Attributes:
        asked: the names, in order.
        begun: released for each.
        answers: whether it answers.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = threading.Semaphore(0)
        self.answers = threading.Event()

    def __call__(self, host: str, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        self.begun.release()
        self.answers.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "the name service is away")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwayNames]:
    away = AwayNames()
    monkeypatch.setattr(socket, "getaddrinfo", away)
    yield away
    away.answers.set()


def test_names_that_are_not_answered_hold_up_no_other_work(names: AwayNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_MOST_NAMES", 2)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        asking = [asyncio.create_task(loop.getaddrinfo(f"{number}.test", 1)) for number in range(5)]
        try:
            async with asyncio.timeout(60):
                for _ in range(2):
                    assert await asyncio.to_thread(names.begun.acquire, timeout=60)
                asking[0].cancel()
                await asyncio.wait(asking[:1])
                # Whoever gives up leaves the thread waiting: it has its place still, and no other begins.
                assert not await asyncio.to_thread(names.begun.acquire, timeout=0.1)
                assert names.asked == ["0.test", "1.test"]
        finally:
            names.answers.set()
        ends = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError, *[socket.gaierror] * 4]
        assert sorted(names.asked) == [f"{number}.test" for number in range(5)]

    with asyncio.Runner(loop_factory=PrivateLoop) as runner:
        runner.run(work())


def test_whoever_asks_a_server_with_such_a_name_is_answered(names: AwayNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_check, "_TIMEOUT", 0.5)
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(describe_server, "rewards.invalid:1", timeout_s=60.0)
        try:
            with pytest.raises(ServerUnavailableError, match="the host's name is not known here"):
                asking.result(90)
        finally:
            names.answers.set()
