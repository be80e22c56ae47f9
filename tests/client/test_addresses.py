"""Where replicas are: names that stand for several, files that change, IPv6, and mistakes of encryption."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from tests.client.hostile_server import Hostile, serve
from trainer_client import (
    TLS,
    AsyncRewardClient,
    Batching,
    IncompleteBatchError,
    Recipe,
    RecipeError,
    RequestRejectedError,
    Retries,
    RewardClient,
    Rollout,
    ScoreTable,
    ServerUnavailableError,
    describe_server,
)
from trainer_client.testing import FakeServer

RECIPE = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 120.0\n')
SMALL = Batching(max_items=8)


def rollouts(count: int = 64) -> list[Rollout]:
    return [Rollout(f"r{n}", "p", str(n / count), group_id=f"g{n // 4}") for n in range(count)]


async def until(condition: Callable[[], bool], client: AsyncRewardClient) -> None:
    """Score until something is so."""
    async with asyncio.timeout(120):
        while not condition():
            assert (await client.score(rollouts())).valid.all()
            await asyncio.sleep(0.05)


class Names:
    """A name service: the one thing between a name and its addresses that a test cannot have for real."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hosts: list[str] = []
        real = socket.getaddrinfo

        def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host != "rewards.test":
                return real(host, port, *args, **kwargs)
            return [entry for known in self.hosts for entry in real(known, port, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_name_with_several_addresses_is_balanced_over_all_and_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encrypted: bool
) -> None:
    names, credentials, tls = Names(monkeypatch), None, None
    if encrypted:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        credentials, tls = _credentials(authority, "rewards.test"), TLS(ca=str(tmp_path / "ca.pem"))
    peers = [Hostile("works") for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(serve(peers[0], "127.0.0.2", credentials=credentials))
        port = int(first.rpartition(":")[2])
        for number in (1, 2):
            await stack.enter_async_context(serve(peers[number], f"127.0.0.{number + 2}", port, credentials))
        names.hosts = ["127.0.0.2", "127.0.0.3"]
        client = await stack.enter_async_context(
            AsyncRewardClient(RECIPE, f"rewards.test:{port}", batching=SMALL, tls=tls)
        )
        await until(lambda: bool(peers[0].calls and peers[1].calls), client)
        names.hosts = ["127.0.0.3", "127.0.0.4"]
        await until(lambda: peers[2].calls > 0, client)
        before = peers[0].calls
        await client.score(rollouts())
        assert peers[0].calls == before


def test_an_endpoints_file_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    recipe = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 120.0\n')

    def put(*addresses: str) -> None:
        part = tmp_path / "part"
        part.write_text(json.dumps({"echo": list(addresses)}))
        part.rename(file)

    def score(client: RewardClient) -> ScoreTable:
        return client.score([Rollout(f"r{n}", "p", "x" * n) for n in range(8)])

    with FakeServer({"echo": lambda item: len(item.response)}) as old:
        put(old.address)
        client = RewardClient(recipe, f"file:{file}")
        assert score(client).valid.all()
    # The server is gone; another one comes up elsewhere, and the file says where.
    with FakeServer({"echo": lambda item: len(item.response)}) as new:
        put(new.address)
        assert score(client).valid.all()
        assert len(new.items) == 8
        client.close()


def test_a_file_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"

    def script(item: Any) -> float:
        return 0.5

    with FakeServer({"echo": script}) as server, RewardClient(RECIPE, f"file:{file}") as client:
        future = client.submit(rollouts()[0])
        with pytest.raises(TimeoutError):
            future.result(0.3)
        file.write_text(json.dumps({"echo": server.address}))
        assert future.result(60).reward == 0.5


async def test_ipv6_addresses_work() -> None:
    async with contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(serve(Hostile("works"), "[::1]"))
        except RuntimeError:
            pytest.skip("this host has no IPv6")
        client = await stack.enter_async_context(AsyncRewardClient(RECIPE, address))
        assert (await client.score(rollouts())).valid.all()


@pytest.mark.parametrize("address", ["::1:50051", "fe80::1:50051", "host", "[::1]", "a b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RecipeError, match=r"\[::1\]:50051"):
        RewardClient(RECIPE, address)


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("http://127.0.0.1:8000", '"127.0.0.1:8000"'),
        ("https://judge.test:443/v1", '"grpcs://judge.test:443"'),
        ("http://judge.test/v1", '"HOST:PORT"'),
    ],
)
def test_a_url_is_refused_with_what_to_write(address: str, written: str) -> None:
    with pytest.raises(RecipeError, match="reward servers speak gRPC: write") as refused:
        RewardClient(RECIPE, address)
    assert written in str(refused.value)


@pytest.fixture
def http_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_server_that_speaks_http_is_told_from_one_that_is_away(http_server: str) -> None:
    with pytest.raises(ServerUnavailableError, match="an HTTP server answers there, and reward servers speak gRPC"):
        describe_server(http_server)
    async with AsyncRewardClient(RECIPE, http_server) as client, asyncio.timeout(60):
        with pytest.raises(RequestRejectedError, match="an HTTP server answers there"):
            await client.score(rollouts())


def test_a_name_that_nothing_resolves_is_told_from_a_server_that_is_away() -> None:
    with pytest.raises(ServerUnavailableError, match="the host's name is not known here"):
        describe_server("no-such-host.invalid:1", timeout_s=60.0)


@pytest.mark.parametrize(
    "address", ["h:0", "127.0.0.1:65536", "grpcs://[::1]:99999", "dns:h:70000", "registry://h:0/m"]
)
def test_a_port_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(RecipeError, match="the port must be between 1 and 65535"):
        RewardClient(RECIPE, address)


async def test_servers_in_ray_are_not_looked_for_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    impatient = Retries(unavailable_timeout_s=0.2)
    async with AsyncRewardClient(RECIPE, "ray:math", retries=impatient) as client:
        with pytest.raises(IncompleteBatchError, match="ray:math: Ray is not installed here"):
            await client.score(rollouts())


def test_files_that_hold_something_else_are_named_before_anything_is_asked(tmp_path: Path) -> None:
    ours, other = (_files(tmp_path, name, trustme.CA(), trustme.CA()) for name in ("ours", "other"))
    mistakes = {
        r"tls\.ca: .*ours\.key holds no certificate of an authority in PEM": TLS(ca=ours.key),
        r"tls\.key: .*other\.key is not the key of .*ours\.cert": TLS(cert=ours.cert, key=other.key),
        "are not a certificate and its unencrypted private key": TLS(cert=ours.key, key=ours.cert),
        "tls: cert and key go together": TLS(key=ours.key),
    }
    for said, tls in mistakes.items():
        with pytest.raises(RecipeError, match=said):
            RewardClient(RECIPE, "127.0.0.1:1", tls=tls)
        with pytest.raises(RecipeError, match=said):
            describe_server("127.0.0.1:1", tls=tls)


def _credentials(authority: trustme.CA, name: str, clients: trustme.CA | None = None) -> grpc.ServerCredentials:
    issued = authority.issue_cert(name)
    return grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())],
        clients.cert_pem.bytes() if clients else None,
        clients is not None,
    )


def _files(folder: Path, name: str, authority: trustme.CA, client: trustme.CA | None = None) -> TLS:
    ca = folder / f"{name}.pem"
    authority.cert_pem.write_to_path(str(ca))
    if client is None:
        return TLS(ca=str(ca))
    issued = client.issue_cert("trainer.test")
    cert, key = folder / f"{name}.cert", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    return TLS(ca=str(ca), cert=str(cert), key=str(key))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("wrong authority", r"not signed by the authorities in .*give the one that signed it: TLS\(ca="),
        ("wrong name", "is not for '127.0.0.1'.*ask it by a name that is in its certificate"),
        ("server is plain", "it speaks plain text"),
        ("client is plain", "the server is encrypted and this client is not"),
        ("no client certificate", "asks for a certificate of the client"),
        ("foreign client certificate", "client's certificate"),
    ],
)
async def test_mistakes_of_encryption_are_said_as_such_at_the_first_try(
    tmp_path: Path, mistake: str, said: str
) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    name = "elsewhere.test" if mistake == "wrong name" else "127.0.0.1"
    asks = "client certificate" in mistake
    credentials = _credentials(ours, name, ours if asks else None) if mistake != "server is plain" else None
    tls: TLS | None = _files(tmp_path, "right", ours)
    if mistake == "wrong authority":
        tls = _files(tmp_path, "wrong", theirs)
    elif mistake == "client is plain":
        tls = None
    elif mistake == "foreign client certificate":
        tls = _files(tmp_path, "foreign", ours, theirs)
    async with (
        serve(Hostile("works"), credentials=credentials) as address,
        AsyncRewardClient(RECIPE, address, tls=tls) as client,
        asyncio.timeout(60),
    ):
        with pytest.raises(RequestRejectedError, match=said):
            await client.score(rollouts())
    if asks:
        async with (
            serve(Hostile("works"), credentials=credentials) as address,
            AsyncRewardClient(RECIPE, address, tls=_files(tmp_path, "good", ours, ours)) as client,
        ):
            assert (await client.score(rollouts())).valid.all()


@pytest.mark.parametrize("trivial", [False, True])
async def test_a_token_is_sent_and_a_wrong_one_is_said(tmp_path: Path, trivial: bool) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame\n")
    peer = Hostile("works", trivial=trivial, token="open sesame")
    async with serve(peer) as address:
        for token in ("open sesame", f"file:{file}"):
            async with AsyncRewardClient(RECIPE, address, token=token) as client:
                assert (await client.score(rollouts())).valid.all()
                assert "sesame" not in repr(client.__getstate__())
        async with AsyncRewardClient(RECIPE, address, token="another") as client, asyncio.timeout(60):
            with pytest.raises(RequestRejectedError, match="asks for credentials"):
                await client.score(rollouts())


async def test_a_token_is_not_sent_unencrypted_to_another_host() -> None:
    async with AsyncRewardClient(RECIPE, "192.0.2.1:50051", token="secret") as client, asyncio.timeout(60):
        with pytest.raises(RequestRejectedError, match="not sent unencrypted"):
            await client.score(rollouts())


def test_what_is_no_token_is_refused() -> None:
    with pytest.raises(RecipeError, match="token"):
        RewardClient(RECIPE, "127.0.0.1:1", token="two\nlines")
