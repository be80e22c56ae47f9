"""Three servers as processes, each behind a link that can go bad, and the faults that happen to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self, TypeAlias

import psutil

from benchmarks.chaos.verifiers import LOG
from tests.client.faulty_network import Link, link

_COMMAND = (
    "-m",
    "reward_servers",
    "serve",
    "benchmarks.chaos.verifiers:counted",
    "--workers",
    "2",
    "--log-level",
    "error",
)


class Replica:
    """One server."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.port = 0
        self.process: Process | None = None

    async def start(self) -> Self:
        """Start it, on the port that it had before, and wait until it listens."""
        environment = {**os.environ, LOG: str(self._log)}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *_COMMAND, "--port", str(self.port), stdout=PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        self.port = int(line.split()[2].rpartition(":")[2])
        return self

    def send(self, number: int) -> None:
        """Send a signal to the server, not to its workers."""
        assert self.process is not None
        self.process.send_signal(number)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes, those that have no children."""
        assert self.process is not None
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in below if not one.children()]

    async def end(self, number: int) -> None:
        """End it and wait."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            await self.process.wait()


class Fleet:
    """Replicas and the links before them."""

    def __init__(self, replicas: list[Replica], links: list[Link]) -> None:
        self.replicas = replicas
        self.links = links


@contextlib.asynccontextmanager
async def fleet_of(count: int, log: Path) -> AsyncIterator[Fleet]:
    """Start servers; they are gone at the end."""
    async with contextlib.AsyncExitStack() as stack:
        replicas = [await Replica(log).start() for _ in range(count)]
        for replica in replicas:
            stack.push_async_callback(replica.end, signal.SIGKILL)
        links = [await stack.enter_async_context(link(f"127.0.0.1:{replica.port}")) for replica in replicas]
        yield Fleet(replicas, links)


Fault: TypeAlias = Callable[[Fleet, random.Random], Awaitable[None]]


async def _nothing(fleet: Fleet, draw: random.Random) -> None:
    """No fault."""


async def _kill(fleet: Fleet, draw: random.Random) -> None:
    replica = draw.choice(fleet.replicas)
    await replica.end(signal.SIGKILL)
    await replica.start()


async def _drain(fleet: Fleet, draw: random.Random) -> None:
    replica = draw.choice(fleet.replicas)
    await replica.end(signal.SIGTERM)
    await replica.start()


async def _kill_all(fleet: Fleet, draw: random.Random) -> None:
    for replica in fleet.replicas:
        await replica.end(signal.SIGKILL)
    await asyncio.sleep(1.0)
    await asyncio.gather(*(replica.start() for replica in fleet.replicas))


async def _stop(fleet: Fleet, draw: random.Random) -> None:
    replica = draw.choice(fleet.replicas)
    replica.send(signal.SIGSTOP)
    await asyncio.sleep(3.0)
    replica.send(signal.SIGCONT)


async def _kill_worker(fleet: Fleet, draw: random.Random) -> None:
    for worker in draw.choice(fleet.replicas).workers()[:1]:
        worker.kill()


async def _stop_worker(fleet: Fleet, draw: random.Random) -> None:
    for worker in draw.choice(fleet.replicas).workers()[:1]:
        worker.suspend()
        await asyncio.sleep(1.0)
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.resume()


async def _cut(fleet: Fleet, draw: random.Random) -> None:
    draw.choice(fleet.links).cut()


def _bad_link(fault: str, seconds: float) -> Fault:
    async def act(fleet: Fleet, draw: random.Random) -> None:
        chosen = draw.choice(fleet.links)
        chosen.fault = fault
        await asyncio.sleep(seconds)
        chosen.fault = "none"
        chosen.cut()

    return act


FAULTS: dict[str, Fault] = {
    "none": _nothing,
    "kill -9 a server, restart": _kill,
    "SIGTERM a server, restart": _drain,
    "kill -9 all, back after 1 s": _kill_all,
    "SIGSTOP a server for 3 s": _stop,
    "kill -9 a worker": _kill_worker,
    "SIGSTOP a worker for 1 s": _stop_worker,
    "connections reset": _cut,
    "nothing passes for 2 s": _bad_link("silent", 2.0),
    "answers do not pass for 2 s": _bad_link("mute", 2.0),
    "answers garbled for 1 s": _bad_link("corrupt", 1.0),
    "a few bytes at a time for 2 s": _bad_link("trickle", 2.0),
}
