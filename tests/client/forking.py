"""A process that forks while it has a client: ``python -m tests.client.forking CASE ADDRESS``.

Whether a child can use gRPC depends on all that the parent holds, so each case has a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import grpc

from tests.client.conftest import rollouts_of
from trainer_client import ForkedProcessError, Recipe, RewardClient

TEXTS = ['{"score": %s}' % (n / 8) for n in range(8)]
SCORES = [n / 8 for n in range(8)]


def _scores(client: RewardClient) -> list[float]:
    scores: list[float] = client.score(rollouts_of(TEXTS)).scores[:, 0].tolist()
    return scores


def _in_child(work: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def _put_scores(client: RewardClient, results: Any) -> None:
    results.put(_scores(client))


def unused(client: RewardClient) -> None:
    """Children at once have a client of their own, and the parent's goes on."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    children = [context.Process(target=_put_scores, args=(client, results)) for _ in range(2)]
    for child in children:
        child.start()
    assert [results.get(), results.get()] == [SCORES] * 2
    for child in children:
        child.join()
    assert _scores(client) == SCORES


def used(client: RewardClient) -> None:
    """The same with connections that are open at the fork."""
    assert _scores(client) == SCORES
    unused(client)


def closed(client: RewardClient) -> None:
    """What a closed client left behind ends before the fork."""
    other = RewardClient(client.recipe, sys.argv[2])
    assert _scores(other) == SCORES
    other.close()
    unused(client)


def in_the_middle(client: RewardClient) -> None:
    """A batch that is under way at a fork loses nothing."""
    texts = ['{"score": %s, "delay_s": 0.3}' % (n / 8) for n in range(8)]
    tables: list[Any] = []
    scoring = threading.Thread(target=lambda: tables.append(client.score(rollouts_of(texts))))
    _scores(client)
    scoring.start()
    assert [_in_child(lambda: _scores(client) == SCORES) for _ in range(3)] == [True] * 3
    scoring.join()
    assert tables[0].scores[:, 0].tolist() == SCORES


def _is_refused(client: RewardClient) -> bool:
    try:
        client.score(rollouts_of(TEXTS))
    except ForkedProcessError as error:
        return "spawn" in str(error)
    return False


def stranded(client: RewardClient) -> None:
    """With a channel of other code open, a client in a child is refused at once, and in a child of it, too."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def connect() -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(sys.argv[2])

    channel = asyncio.run_coroutine_threadsafe(connect(), loop).result()
    assert _in_child(lambda: _is_refused(client) and _in_child(lambda: _is_refused(client)))
    assert _scores(client) == SCORES
    asyncio.run_coroutine_threadsafe(channel.close(), loop).result()


CASES = {case.__name__: case for case in (unused, used, closed, in_the_middle, stranded)}


def _main() -> None:
    recipe = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 60.0\n')
    with RewardClient(recipe, sys.argv[2]) as client:
        CASES[sys.argv[1]](client)
    print("done")


if __name__ == "__main__":
    _main()
