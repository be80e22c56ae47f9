"""The address that a server announces: one that clients elsewhere can reach, or a word about it."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from typing import Any

import pytest

from reward_servers.config import ServerConfig, load_config
from reward_servers.registry import OwnAddress, serving
from reward_servers.server import running
from tests.registry.test_fleet import listed, said, server_settings, until

NOWHERE = "no-such-host.invalid"


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names that no one knows here, as long as they are among them."""
    names = {NOWHERE}
    look_up = socket.getaddrinfo

    def look_up_known(host: Any, *more: Any, **options: Any) -> Any:
        if host in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_known)
    return names


def everywhere(*registries: str) -> ServerConfig:
    """Settings of a server on all addresses of its host."""
    return load_config(None, workers=1, host="0.0.0.0", insecure=True).with_registry(registries, "")


async def test_a_registry_whose_name_no_one_knows_keeps_no_server_from_another(
    unknown: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(load_config()) as registry, running(everywhere(f"{NOWHERE}:1", registry), ["exact"]) as server:
        port = server.address.rpartition(":")[2]
        await until(partial(_lists, registry, f"127.0.0.1:{port}"))
        await until(partial(said, caplog, f"not announced at the registry {NOWHERE}:1"))


async def test_a_server_serves_and_is_announced_once_the_name_of_its_registry_is_known(
    unknown: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    unknown.add("localhost")
    async with serving(load_config()) as registry:
        named = f"localhost:{registry.rpartition(':')[2]}"
        async with running(everywhere(named), ["exact"]) as server:
            await until(partial(said, caplog, f"({named}: Name or service not known); say in registry.address"))
            assert await listed(registry) == []
            unknown.remove("localhost")
            port = server.address.rpartition(":")[2]
            await until(partial(_lists, registry, f"127.0.0.1:{port}"))


async def _lists(registry: str, address: str) -> bool:
    return await listed(registry) == [address]


async def test_the_registry_elsewhere_says_which_address_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {"localhost": "127.0.0.1", "away.test": "2001:db8::5", "beyond.test": "192.0.2.5"}
    asked: list[str] = []

    async def way(host: str, port: int) -> str:
        asked.append(f"{host}:{port}")
        if host not in ways:
            raise OSError(1, "unknown")
        return ways[host]

    monkeypatch.setattr("reward_servers.registry._address._source", way)
    own = OwnAddress("[::]:7", ["localhost:1", "later.test:2"])
    assert await own.find() == "127.0.0.1:7"
    ways["later.test"] = "192.0.2.6"
    assert await own.find() == "192.0.2.6:7"

    asked.clear()
    own = OwnAddress("0.0.0.0:7", ["localhost:1", "grpcs://away.test:2", "beyond.test:3"])
    assert set(await asyncio.gather(own.find(), own.find())) == {"[2001:db8::5]:7"}
    assert asked == ["localhost:1", "away.test:2"]

    for listening in ("10.0.0.5:7", "a-host:7", "[::1]:7"):
        assert await OwnAddress(listening, ["nowhere.test:1"]).find() == listening
    assert await OwnAddress("0.0.0.0:7", ["nowhere.test:1"], "proxy:9").find() == "proxy:9"
    with pytest.raises(OSError, match=r"nowhere\.test:1: unknown; other\.test:2: unknown"):
        await OwnAddress("0.0.0.0:7", ["nowhere.test:1", "other.test:2"]).find()


@pytest.mark.parametrize("name", [f"{'a' * 64}.test", "a..b"])
async def test_a_name_that_no_host_can_have_is_no_error_of_ours(name: str) -> None:
    with pytest.raises(OSError, match="no host can have such a name"):
        await OwnAddress("0.0.0.0:7", [f"{name}:1"]).find()


@pytest.mark.parametrize(
    ("listening", "registries", "told", "named"),
    [
        ("127.0.0.1:7", ["192.0.2.9:5"], "", "192.0.2.9:5"),
        ("[::1]:7", ["[::1]:5", "registry.test:5"], "", "registry.test:5"),
        ("localhost:7", ["grpcs://192.0.2.9:5"], "", "192.0.2.9:5"),
        ("127.0.0.1:7", ["localhost:5", "127.0.0.2:5", "grpc://[::1]:5"], "", ""),
        ("127.0.0.1:7", ["192.0.2.9:5"], "192.0.2.5:7", ""),
        ("0.0.0.0:7", ["192.0.2.9:5"], "", ""),
        ("192.0.2.5:7", ["192.0.2.9:5"], "", ""),
    ],
)
def test_an_address_of_this_host_alone_is_no_news_for_others(
    listening: str, registries: list[str], told: str, named: str
) -> None:
    warning = OwnAddress(listening, registries, told).warning()
    assert bool(warning) is bool(named)
    assert named in warning


async def test_a_server_that_others_cannot_reach_says_so_once_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "assay.server")
    async with running(server_settings("192.0.2.9:50040"), ["exact"]) as server:
        pass
    words = [record.getMessage() for record in caplog.records if "only this host can reach" in record.getMessage()]
    assert len(words) == 1
    assert words[0].startswith(server.address)
    for word in ("192.0.2.9:50040", "--host 0.0.0.0", "server.host", "registry.address"):
        assert word in words[0]
