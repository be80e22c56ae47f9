"""Loops of clients that are closed while gRPC still has something to tell them."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.client.conftest import rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import Recipe, RewardClient, describe_server
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
