"""What those do who may announce, what a registry does that is none of ours, and mistakes of encryption."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme

from reward_servers.config import ServerConfig, load_config
from reward_servers.core import SettingsError
from reward_servers.registry import serving
from reward_servers.server import running
from tests.registry.test_fleet import QUICK, RECIPE, listed, rollouts, said, server_settings, until
from tests.typed import changed
from trainer_client import TLS, AsyncRewardClient, IncompleteBatchError, RewardError
from trainer_client.contract.v1 import registry_service_pb2 as pb
from trainer_client.contract.v1 import registry_service_pb2_grpc as rpc

INVALID, DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED
ONE, OTHER = "o" * 20, "p" * 20


async def announce(registry: str, server: pb.ServerEntry, token: str = "", seconds: int = 15) -> None:
    async with grpc.aio.insecure_channel(registry) as channel:
        request = pb.AnnounceRequest(server=server)
        request.lease.seconds = seconds
        stub: Any = rpc.RegistryServiceStub(channel)
        await stub.Announce(request, metadata=(("authorization", f"Bearer {token}"),) if token else ())


def _with_verifiers(count: int, length: int) -> pb.ServerEntry:
    server = pb.ServerEntry(address="a:1", instance="i")
    for number in range(count):
        server.verifiers.add(name=f"{number:0{length}}", version="1", digest="sha256:00")
    return server


HOSTILE = {
    "another scheme": pb.ServerEntry(address="grpc://10.0.0.1:5", instance="i"),
    "a socket": pb.ServerEntry(address="unix:5", instance="i"),
    "several": pb.ServerEntry(address="ipv4:10.0.0.1:5,10.0.0.2:5", instance="i"),
    "a file": pb.ServerEntry(address="file:/etc/passwd:5", instance="i"),
    "a line of the log": pb.ServerEntry(address="a\nroot announced b:5", instance="i"),
    "a version on two lines": pb.ServerEntry(address="a:5", instance="i", version="1\n2"),
    "many verifiers": _with_verifiers(257, 10),
    "long names": _with_verifiers(1, 257),
    "many long names": _with_verifiers(256, 250),
    "a field of another version": pb.ServerEntry.FromString(
        pb.ServerEntry(address="a:5", instance="i").SerializeToString() + b"\xfa\x7f\x80\x80\x05" + b"x" * (80 << 10)
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_an_announcement_that_would_mislead_or_fill_is_refused(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "assay.audit")
    async with serving(load_config()) as registry:
        with pytest.raises(grpc.aio.AioRpcError, match=r"server") as refused:
            await announce(registry, HOSTILE[what])
        assert refused.value.code() is INVALID
        assert await listed(registry) == []
    assert not any("\n" in record.getMessage() for record in caplog.records)


async def test_messages_that_are_none_are_refused_in_a_line_and_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    service = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
    with caplog.at_level(logging.WARNING):
        async with serving(load_config()) as registry, grpc.aio.insecure_channel(registry) as channel:
            raw: Any = channel.unary_unary(f"/{service}/Announce")
            with pytest.raises(grpc.aio.AioRpcError, match=r"server\.address") as refused:
                await raw(b"\xff\xff\xff")
            assert refused.value.code() is INVALID
            listing: Any = channel.unary_unary(f"/{service}/ListServers")
            assert not pb.ListServersResponse.FromString(await listing(b"\xff\xff\xff")).servers
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("seconds", [315_576_000_000, -315_576_000_000])
async def test_a_lease_beyond_all_clocks_is_bounded(seconds: int) -> None:
    async with serving(load_config()) as registry:
        await announce(registry, pb.ServerEntry(address="a:1", instance="i"), seconds=seconds)
        assert await listed(registry) == ["a:1"]


async def test_a_token_takes_no_address_of_another(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        "".join(
            f'[clients.{name}]\ntoken = "{token}"\nscopes = ["register", "score"]\n'
            for name, token in (("a", ONE), ("b", OTHER))
        )
    )
    base = load_config().model_dump(exclude_unset=True)
    async with serving(ServerConfig.model_validate({**base, "auth": {"tokens": tokens}})) as registry:
        server = pb.ServerEntry(address="a:1", instance="i")
        await announce(registry, server, ONE)
        with pytest.raises(grpc.aio.AioRpcError, match="another caller") as refused:
            await announce(registry, pb.ServerEntry(address="a:1", instance="j"), OTHER)
        assert refused.value.code() is DENIED
        async with grpc.aio.insecure_channel(registry) as channel:
            stub: Any = rpc.RegistryServiceStub(channel)
            told = pb.WithdrawRequest(address="a:1", instance="i")
            await stub.Withdraw(told, metadata=(("authorization", f"Bearer {OTHER}"),))
            assert await listed(registry, ONE) == ["a:1"]
            await stub.Withdraw(told, metadata=(("authorization", f"Bearer {ONE}"),))
        assert await listed(registry, ONE) == []


class Foreign(rpc.RegistryServiceServicer):
    """A registry that is none of ours."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.announced: list[float] = []

    async def Announce(self, request: Any, context: Any) -> pb.AnnounceResponse:
        """Grant a lease that has ended."""
        self.announced.append(time.monotonic())
        return pb.AnnounceResponse()

    async def Withdraw(self, request: Any, context: Any) -> pb.WithdrawResponse:
        """Take note of nothing."""
        return pb.WithdrawResponse()

    async def ListServers(self, request: Any, context: Any) -> pb.ListServersResponse:
        """List what it likes."""
        answer = pb.ListServersResponse(revision="r")
        for address in self._addresses:
            answer.servers.add(address=address, instance="i").verifiers.add(
                name="exact", version="1", digest="sha256:0"
            )
        return answer


@asynccontextmanager
async def foreign(registry: Foreign) -> AsyncIterator[str]:
    server = grpc.aio.server()
    rpc.add_RegistryServiceServicer_to_server(registry, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_registry_does_not_choose_how_a_client_connects() -> None:
    async with (
        running(load_config(None, workers=1), ["exact"]) as server,
        foreign(Foreign(f"grpc://{server.address}", "unix:5", "a b:1")) as registry,
        AsyncRewardClient(RECIPE, f"registry://{registry}", retries=QUICK) as client,
    ):
        with pytest.raises(IncompleteBatchError, match="lists addresses that are no host:port"):
            await client.score(rollouts(8))


async def test_a_lease_of_nothing_makes_no_server_announce_itself_without_end() -> None:
    registry = Foreign()
    async with foreign(registry) as address, running(server_settings(address), ["exact"]):
        await until(lambda: _reached(registry, 4))
    # However late each arrives: the next one leaves half a second after its answer, or four fifths of that.
    gaps = [later - earlier for earlier, later in itertools.pairwise(registry.announced)]
    assert min(gaps) >= 0.4


async def _reached(registry: Foreign, count: int) -> bool:
    return len(registry.announced) >= count


async def test_an_address_with_a_scheme_is_refused_where_it_is_set() -> None:
    told = server_settings("127.0.0.1:1")
    told = changed(told, registry=changed(told.registry, address="grpc://10.0.0.5:50051"))
    with pytest.raises(SettingsError, match=r"registry\.address"):
        async with running(told, ["exact"]):
            pass


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    return {name: str(folder / f"{name}.pem") for name in ("ca", "other", "key", "certificate")}


def encrypted(files: dict[str, str]) -> ServerConfig:
    base = load_config().model_dump(exclude_unset=True)
    tls = {"certificate": files["certificate"], "key": files["key"]}
    return ServerConfig.model_validate({**base, "server": {**base.get("server", {}), "tls": tls}})


async def test_a_server_says_why_an_encrypted_registry_cannot_be_told(
    files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "assay.server")
    async with serving(encrypted(files)) as registry:
        told = server_settings(registry)
        wrong = changed(told, client=told.client.model_validate({"tls": {"ca": files["other"]}}))
        for config, words in (
            (told, "the server is encrypted and this client is not; give [client.tls] ca"),
            (wrong, "not signed by the authorities in"),
        ):
            async with running(config, ["exact"]):
                await until(partial(said, caplog, words))
        right = changed(told, client=told.client.model_validate({"tls": {"ca": files["ca"]}}))
        async with running(right, ["exact"]) as server:
            client = AsyncRewardClient(RECIPE, f"registry://{registry}", retries=QUICK)
            with pytest.raises(IncompleteBatchError, match="the server is encrypted and this client is not"):
                await client.score(rollouts(8))
            await client.close()
            # The registry is encrypted and the server, on this host, is not: the list is found, and its mistake named.
            client = AsyncRewardClient(RECIPE, f"registry://{registry}", retries=QUICK, tls=TLS(ca=files["ca"]))
            with pytest.raises(RewardError, match="it speaks plain text"):
                await client.score(rollouts(8))
            await client.close()
            assert server.address


async def test_one_who_announces_without_end_leaves_places_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reward_servers.registry._registry.MOST_OF_ONE", 2)
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        f'[clients.a]\ntoken = "{ONE}"\nscopes = ["register", "score"]\n'
        f'[clients.b]\ntoken = "{OTHER}"\nscopes = ["register"]\n'
    )
    base = load_config().model_dump(exclude_unset=True)
    for settings, token in (
        (load_config(), ""),
        (ServerConfig.model_validate({**base, "auth": {"tokens": tokens}}), ONE),
    ):
        async with serving(settings) as registry:
            for name in "ab":
                await announce(registry, pb.ServerEntry(address=f"{name}:1", instance="i"), token)
            with pytest.raises(grpc.aio.AioRpcError, match="has announced 2 servers already") as refused:
                await announce(registry, pb.ServerEntry(address="c:1", instance="i"), token)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            if token:
                await announce(registry, pb.ServerEntry(address="c:1", instance="i"), OTHER)
            assert await listed(registry, token) == ["a:1", "b:1", *(["c:1"] if token else [])]
