"""Three hosts without an engine, behind one name: a slow wire, a lossy one, a partition, and a host that is gone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.deploy.docker import wait_for
from tests.deploy.wire import Wire, address_of, on, wire
from trainer_client import AsyncRewardClient, Recipe, Retries, Reward, Rollout, Server, describe_server

pytestmark = pytest.mark.timeout(1200)
HOSTS = (1, 2, 3)
PORT = 50051
NAME = "servers.test"
RECIPE = Recipe((Reward("r", "exact"),), servers=(Server("s", ("exact",)),))


@pytest.fixture(scope="module")
def hosts() -> Iterator[Wire]:
    """Hosts on a wire."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        with wire(HOSTS) as made:
            yield made
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this host makes no tunnels or network namespaces: {error}")


@contextmanager
def serving(host: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server on a host."""
    where = ["--host", address_of(host), "--port", str(PORT), "--insecure", "--workers", "1"]
    command = on(host, sys.executable, "-P", "-m", "reward_servers", "serve", "exact", *where)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield server
        finally:
            server.kill()


def rollouts(count: int) -> list[Rollout]:
    """Rollouts of which every third is right."""
    return [
        Rollout(rollout_id=f"r{n}", group_id=f"g{n // 8}", prompt="?", response=str(n % 3), reference={"answer": "0"})
        for n in range(count)
    ]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address whose name the resolver of this process knows: it has the addresses of all hosts."""
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host != NAME:
            return real(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address_of(one), port)) for one in HOSTS]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return f"dns:///{NAME}:{PORT}"


async def test_what_a_wire_does_costs_no_item_and_changes_no_verdict(hosts: Wire, named: str) -> None:
    addresses = [f"{address_of(host)}:{PORT}" for host in HOSTS]
    retries = Retries(unavailable_timeout_s=240.0, heartbeat_timeout_s=3.0)
    expected = [1.0 if n % 3 == 0 else 0.0 for n in range(600)]
    with serving(1), serving(2), serving(3) as third:
        for address in addresses:
            wait_for(partial(_answers, address), address)
        async with AsyncRewardClient(RECIPE, {"s": named}, retries=retries) as client:

            async def check(what: str) -> None:
                table = await client.score(rollouts(600))
                assert table.valid.all(), (what, table.codes[~table.valid])
                assert table.scores[:, 0].tolist() == expected, what

            await check("a good wire")
            # All hosts of the name took part.
            for address in addresses:
                assert any(one.verdicts for one in describe_server(address, with_activity=True).activity), address
            hosts.delay, hosts.jitter = 0.05, 0.03
            await check("a slow wire")
            hosts.loss = 0.05
            await check("a lossy wire")
            assert hosts.lost
            hosts.delay = hosts.jitter = hosts.loss = 0.0

            async def while_asked(what: str) -> AsyncIterator[None]:
                """Ask all the time."""
                over = asyncio.Event()

                async def ask() -> None:
                    while not over.is_set():
                        await check(what)

                asking = asyncio.create_task(ask())
                await asyncio.sleep(0.3)
                yield
                over.set()
                await asking

            async with asynccontextmanager(while_asked)("a partition"):
                hosts.cut = {2}
                await asyncio.sleep(6.0)
                hosts.cut = set()
                await asyncio.sleep(3.0)
            async with asynccontextmanager(while_asked)("a host that is gone"):
                hosts.cut = {3}  # no word of its end reaches anyone
                third.kill()
                await asyncio.sleep(6.0)


def _answers(address: str) -> bool:
    try:
        describe_server(address, timeout_s=1.0)
    except Exception:  # noqa: BLE001 - it does not answer yet
        return False
    return True
