"""Three servers as processes, each behind a link that can go bad, and the faults that happen to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Self, TypeAlias

import psutil

from benchmarks.chaos._host import Clock, Disk, Group
from benchmarks.chaos.verifiers import LOG
from tests.client.faulty_network import Link, link
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout

_VERIFIERS = ("benchmarks.chaos.verifiers:counted", "benchmarks.chaos.verifiers:unruly", "math", "code")
_COMMAND = ("-m", "reward_servers", "serve", *_VERIFIERS, "--workers", "2", "--log-level", "error")


_WORDS_OF_READY = 3


class Replica:
    """One server."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._starting = asyncio.Lock()
        self.port = 0
        self.process: Process | None = None

    async def start(self) -> Self:
        """Start it, on the port that it had before, and wait until it listens; as often as a supervisor would.

        One that runs already, since another fault has started it, is left as it is.
        """
        async with self._starting:
            while self.process is None or self.process.returncode is not None:
                self.process = await asyncio.create_subprocess_exec(
                    sys.executable, *_COMMAND, "--port", str(self.port), stdout=PIPE, stderr=asyncio.subprocess.DEVNULL,
                    env={**os.environ, **self._environment},
                )  # fmt: skip
                assert self.process.stdout is not None
                words = (await self.process.stdout.readline()).decode().split()
                if len(words) < _WORDS_OF_READY:
                    # A full disk, or a port that is not free yet.
                    await self.process.wait()
                    await asyncio.sleep(0.5)
                    continue
                self.port = int(words[2].rpartition(":")[2])
        return self

    def send(self, number: int) -> None:
        """Send a signal to the server, not to its workers."""
        assert self.process is not None
        self.process.send_signal(number)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes: children of the process that it forks them from."""
        assert self.process is not None
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += child.children()
        return found

    async def end(self, number: int) -> None:
        """End it and wait."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            await self.process.wait()


class Fleet:
    """Replicas, the links before them, and what their host can do to them."""

    def __init__(self, replicas: list[Replica], links: list[Link], clock: Clock, disk: Disk, group: Group) -> None:
        self.replicas = replicas
        self.links = links
        self.clock = clock
        self.disk = disk
        self.group = group

    @property
    def addresses(self) -> list[str]:
        """Where the links listen."""
        return [one.address for one in self.links]


@contextlib.asynccontextmanager
async def fleet_of(count: int, folder: Path) -> AsyncIterator[Fleet]:
    """Start servers; they are gone at the end."""
    async with contextlib.AsyncExitStack() as stack:
        clock, disk, group = Clock(folder), Disk(folder), Group()
        stack.callback(disk.close)
        stack.callback(group.close)
        environment = {LOG: str(folder / "judged"), "TMPDIR": str(disk.folder), **clock.environment}
        replicas = [await Replica(environment).start() for _ in range(count)]
        for replica in replicas:
            stack.push_async_callback(replica.end, signal.SIGKILL)
        links = [await stack.enter_async_context(link(f"127.0.0.1:{replica.port}")) for replica in replicas]
        yield Fleet(replicas, links, clock, disk, group)


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


async def _drain_everyone(fleet: Fleet, draw: random.Random) -> None:
    """What a service manager does to a control group: workers and candidates' programs hear of it as well."""
    replica = draw.choice(fleet.replicas)
    assert replica.process is not None
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(replica.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
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
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


async def _stop_worker(fleet: Fleet, draw: random.Random) -> None:
    for worker in draw.choice(fleet.replicas).workers()[:1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.suspend()
            await asyncio.sleep(1.0)
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


async def _jump(fleet: Fleet, draw: random.Random) -> None:
    for days in (30, -30, 0):
        fleet.clock.shift(days * 86_400)
        await asyncio.sleep(0.7)


async def _fill_disk(fleet: Fleet, draw: random.Random) -> None:
    with fleet.disk.full():
        await asyncio.sleep(2.0)


async def _take_memory(fleet: Fleet, draw: random.Random) -> None:
    for worker in draw.choice(fleet.replicas).workers()[:1]:
        with contextlib.suppress(OSError):
            fleet.group.take(worker.pid)
    await asyncio.sleep(1.0)


async def _misbehave(fleet: Fleet, draw: random.Random) -> None:
    """A client of its own asks for what holds a loop, never ends, or swallows its end."""
    kinds = ("holds the loop", "never ends", "swallows its end", "cancels itself", "says nothing useful")
    recipe = Recipe(rewards=(Reward("unruly", "chaos/unruly", deadline_s=2.0),), max_missing=1.0)
    rollouts = [Rollout(f"u{n}", "p", kinds[n % len(kinds)], f"u{n}") for n in range(20)]
    async with AsyncRewardClient(recipe, fleet.addresses) as client:
        await client.score(rollouts)


async def _interrupt_client(fleet: Fleet, draw: random.Random) -> None:
    """Ctrl-C of a client in the middle of a call: it has to end soon."""
    line = (sys.executable, "-m", "benchmarks.chaos.interrupted", *fleet.addresses)
    client = await asyncio.create_subprocess_exec(*line, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL)
    assert client.stdout is not None
    await client.stdout.readline()
    await asyncio.sleep(0.3)
    client.send_signal(signal.SIGINT)
    async with asyncio.timeout(120.0):
        await client.wait()


FAULTS: dict[str, Fault] = {
    "none": _nothing,
    "kill -9 a server, restart": _kill,
    "SIGTERM a server, restart": _drain,
    "SIGTERM to all processes of a server, restart": _drain_everyone,
    "kill -9 all, back after 1 s": _kill_all,
    "SIGSTOP a server for 3 s": _stop,
    "kill -9 a worker": _kill_worker,
    "SIGSTOP a worker for 1 s": _stop_worker,
    "connections reset": _cut,
    "nothing passes for 2 s": _bad_link("silent", 2.0),
    "answers do not pass for 2 s": _bad_link("mute", 2.0),
    "answers garbled for 1 s": _bad_link("corrupt", 1.0),
    "a few bytes at a time for 2 s": _bad_link("trickle", 2.0),
    "the clock jumps 30 days, back, and again": _jump,
    "a disk that is full for 2 s": _fill_disk,
    "a worker killed by its control group for want of memory": _take_memory,
    "async verifiers that misbehave, of another client": _misbehave,
    "Ctrl-C of another client in the middle of a call": _interrupt_client,
}


def refused(fleet: Fleet) -> dict[str, str]:
    """Faults that this host does not allow, with the reason."""
    found: dict[Fault, str] = {
        _jump: fleet.clock.refused,
        _fill_disk: fleet.disk.refused,
        _take_memory: fleet.group.refused,
    }
    return {name: why for name, fault in FAULTS.items() if (why := found.get(fault, ""))}
