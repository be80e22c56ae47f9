"""Servers that announce themselves, and clients that follow them, over real gRPC."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from reward_servers.config import load_config
from reward_servers.registry import serving
from reward_servers.rpc import RewardServicer
from reward_servers.server import running
from tests.ports import kept_port
from tests.typed import changed
from trainer_client import (
    AsyncRewardClient,
    IncompleteBatchError,
    Recipe,
    RecipeError,
    Retries,
    Reward,
    Rollout,
    Server,
)
from trainer_client._transport.addresses import AddressBook
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.registry import Selector
from trainer_client.contract.v1 import registry_service_pb2 as pb
from trainer_client.contract.v1 import registry_service_pb2_grpc as rpc

RECIPE = Recipe((Reward("r", "exact"),), servers=(Server("exact", ("exact",)),))
QUICK = Retries(unavailable_timeout_s=2.0)
"""For what is never found."""
PATIENT = Retries(unavailable_timeout_s=120.0)


def rollouts(count: int = 16) -> list[Rollout]:
    return [
        Rollout(rollout_id=f"r{n}", group_id="g", prompt="?", response=str(n % 2), reference={"answer": "0"})
        for n in range(count)
    ]


async def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.05)


async def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def listed(registry: str, token: str = "") -> list[str]:
    async with grpc.aio.insecure_channel(registry) as channel:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        stub: Any = rpc.RegistryServiceStub(channel)
        answer = await stub.ListServers(pb.ListServersRequest(), metadata=metadata, wait_for_ready=True, timeout=120)
    return [server.address for server in answer.servers]


def server_settings(registry: str, **more: Any) -> Any:
    return load_config(None, workers=1).with_registry([registry], more.get("name", ""))


async def test_clients_find_servers_follow_them_and_outlive_the_registry() -> None:
    async with serving(load_config()) as registry, running(server_settings(registry), ["exact"]) as first:
        await until(lambda: _equals(listed(registry), [first.address]))
        async with AsyncRewardClient(RECIPE, f"registry://{registry}", retries=PATIENT) as client:
            assert (await client.score(rollouts())).scores[:, 0].tolist() == [1.0, 0.0] * 8
            async with running(server_settings(registry), ["exact"]) as second:
                await until(lambda: _equals(listed(registry), sorted([first.address, second.address])))
            # The second has withdrawn itself before it drained.
            assert await listed(registry) == [first.address]
            assert (await client.score(rollouts())).valid.all()


async def test_the_last_list_counts_while_the_registry_is_gone() -> None:
    async with serving(load_config()) as registry:
        server = running(server_settings(registry), ["exact"])
        first = await server.__aenter__()
        await until(lambda: _equals(listed(registry), [first.address]))
        client = AsyncRewardClient(RECIPE, f"registry://{registry}", retries=PATIENT)
        assert (await client.score(rollouts())).valid.all()
    await asyncio.sleep(2.5)  # several looks of the client find no registry
    assert (await client.score(rollouts())).valid.all()
    await client.close()
    await server.__aexit__(None, None, None)


async def test_a_registry_that_answers_as_before_is_no_longer_said_to_be_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with kept_port() as port:
        book = AddressBook("math", [f"registry://127.0.0.1:{port}"], Credentials(None))
        for outage in (1, 2):
            async with serving(load_config(None, port=port)):
                assert await book.look() == []
                assert "lists no server 'math' that fits" in book.trouble
            assert await book.look() == []
            assert "does not answer" in book.trouble
            assert len([one for one in caplog.messages if "does not answer" in one]) == outage


async def test_a_registry_that_starts_later_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with kept_port() as port:
        async with running(server_settings(f"127.0.0.1:{port}"), ["exact"]) as server:
            await until(partial(said, caplog, "not announced at the registry"))
            async with serving(load_config(None, port=port)) as registry:
                await until(lambda: _equals(listed(registry), [server.address]))


async def test_an_announcement_that_fails_for_any_reason_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    describe, failures = RewardServicer.describe_entry, [ValueError("unforeseen"), RuntimeError("unforeseen")]

    def describe_later(self: RewardServicer, address: str, name: str) -> Any:
        if failures:
            raise failures.pop()
        return describe(self, address, name)

    monkeypatch.setattr(RewardServicer, "describe_entry", describe_later)
    async with serving(load_config()) as registry, running(server_settings(registry), ["exact"]) as server:
        await until(lambda: _equals(listed(registry), [server.address]))
    assert not failures


async def test_what_no_server_hosts_is_said_with_what_there_is() -> None:
    async with serving(load_config()) as registry, running(server_settings(registry), ["exact"]) as server:
        await until(lambda: _equals(listed(registry), [server.address]))
        endpoints = f"registry://{registry}/exact@>=99"
        async with AsyncRewardClient(RECIPE, endpoints, retries=QUICK) as client:
            with pytest.raises(IncompleteBatchError, match="lists exact@"):
                await client.score(rollouts(5))


async def test_a_selector_that_is_none_is_refused_at_once() -> None:
    async with AsyncRewardClient(RECIPE, "registry://127.0.0.1:1/exact@new", retries=QUICK) as client:
        with pytest.raises(RecipeError, match="neither a version"):
            await client.score(rollouts(2))


async def test_only_tokens_with_the_scope_announce(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "assay.server")
    tokens = tmp_path / "tokens.toml"
    score, register = "s" * 20, "r" * 20
    tokens.write_text(
        f'[clients.t]\ntoken = "{score}"\n[clients.m]\ntoken = "{register}"\nscopes = ["score", "register"]\n'
    )
    settings = load_config()
    settings = changed(settings, auth=changed(settings.auth, tokens=tokens))
    async with serving(settings) as registry:
        told = server_settings(registry)
        async with running(changed(told, registry=changed(told.registry, token=score)), ["exact"]):
            await until(partial(said, caplog, "not announced at the registry"))
            assert await listed(registry, score) == []
        async with running(changed(told, registry=changed(told.registry, token=register)), ["exact"]) as server:
            await until(lambda: _equals(listed(registry, score), [server.address]))
        with pytest.raises(grpc.aio.AioRpcError, match="a token is needed"):
            await listed(registry)


@pytest.mark.parametrize("address", ["", "x", "x:0", "x:99999", ":5", "x" * 300 + ":1"])
async def test_an_address_that_is_none_is_named(address: str) -> None:
    async with serving(load_config()) as registry, grpc.aio.insecure_channel(registry) as channel:
        request = pb.AnnounceRequest(server=pb.ServerEntry(address=address, instance="i"))
        stub: Any = rpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match=r"server\.address") as raised:
            await stub.Announce(request)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("math", True),
        ("checks", True),
        ("other", False),
        ("math@1.10", True),
        ("math@1.1", False),
        ("math@>=1.9", True),
        ("math@>=1.2,<2", True),
        ("math@<1.10", False),
        ("math@!=1.10.0", False),
        ("math@sha256:abcdef01", True),
        ("math@sha256:bbbbbb", False),
        ("checks@1.10", False),
    ],
)
def test_selectors(selector: str, fits: bool) -> None:
    server = pb.ServerEntry(address="a:1", name="checks")
    server.verifiers.add(name="math", version="1.10", digest="sha256:abcdef0123")
    server.verifiers.add(name="format", version="1")
    assert Selector(selector).fits(server) is fits


@pytest.mark.parametrize("version", ["\u00b2", "1.\u00b2", "\u0661", "1rc1", "1.", "", "9" * 5000])
def test_a_version_that_cannot_be_compared_is_within_no_bounds(version: str) -> None:
    server = pb.ServerEntry(address="a:1")
    server.verifiers.add(name="math", version=version)
    assert not any(Selector(f"math@{bounds}").fits(server) for bounds in (">=0", "!=1", "<9,>0"))
    assert Selector("math").fits(server)
    server.verifiers.add(name="math", version="2")
    assert Selector("math@>=1").fits(server)


async def _equals(listing: Any, wanted: list[str]) -> bool:
    return bool(await listing == wanted)
