"""A server is asked what it hosts, by its address alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from trainer_client import RecipeError, RequestRejectedError, ServerUnavailableError, describe_server
from trainer_client.testing import FakeServer, by_response


@contextlib.contextmanager
def other_server() -> Iterator[str]:
    """A gRPC server without any service."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def test_a_server_says_what_it_hosts() -> None:
    with FakeServer({"one": by_response, "two": by_response}, group_verifiers=("two",)) as server:
        info = describe_server(server.address)
    assert list(info.verifiers) == ["one", "two"]
    assert (info.verifiers["one"].judges_groups, info.verifiers["two"].judges_groups) == (False, True)
    assert (info.verifiers["one"].id.digest, info.verifiers["one"].cost) == ("d1", "network")
    assert info.verifiers["one"].reference_schema is None


async def test_it_may_be_asked_from_a_running_loop() -> None:
    async with FakeServer({"one": by_response}) as server:
        assert list(describe_server(server.address).verifiers) == ["one"]
        assert list((await asyncio.to_thread(describe_server, server.address)).verifiers) == ["one"]


def test_what_does_not_answer_is_named_with_the_reason() -> None:
    with pytest.raises(RecipeError, match="not an address"):
        describe_server("localhost")
    with pytest.raises(ServerUnavailableError, match="no reward server answers"):
        describe_server("127.0.0.1:1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ServerUnavailableError):
            describe_server(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)


def test_a_server_of_something_else_is_no_reward_server() -> None:
    with other_server() as address, pytest.raises(RequestRejectedError, match="is not a reward server") as caught:
        describe_server(address)
    assert caught.value.code == "not_a_reward_server"
