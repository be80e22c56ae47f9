"""The server's end of one worker process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.context import BaseContext
from typing import Any, Protocol, cast

from reward_servers.core._model import Group
from reward_servers.core._outcomes import Fault, Outcome, Party, Usage, Verdict
from reward_servers.core._stretch import Stretch, Units, job_of
from reward_servers.core._verifier import Placement
from reward_servers.core._work import Job, Unit
from reward_servers.core.executors import _orphans as orphans
from reward_servers.core.executors import _worker_main
from reward_servers.core.executors._fork_server import fork_parent
from reward_servers.core.executors._frames import FrameReader, MessageError
from reward_servers.core.executors._messages import ChunkResults, read_message
from reward_servers.core.executors._orders import WorkerSpec, drop_after, encode_chunk
from reward_servers.core.executors._process_tree import kill_group, kill_tree
from reward_servers.core.executors._progress import Progress
from reward_servers.core.executors._relay import Relay

_log = logging.getLogger("assay.server")
_LINGER = 1.0


class KillReason(StrEnum):
    """Why the server ended a worker."""

    ABANDONED = "abandoned"
    CLOSING = "closing"
    CPU = "cpu"
    GARBAGE = "garbage"
    MEMORY = "memory"
    STOPPED = "stopped"
    WALL = "wall"


@dataclass(slots=True, eq=False)
class Chunk:
    """Units that were sent to a worker together.

    Attributes:
        number: Its number, for the messages about it.
        units: The units, in the order in which the worker takes them.
        undone: How many are not finished.
        done: Which are finished: a byte for each.
    """

    number: int
    units: Units
    undone: int = field(init=False)
    done: bytearray = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self.undone = len(self.units)
        self.done = bytearray(self.undone)

    @property
    def job(self) -> Job:
        """What the units share."""
        return job_of(self.units)

    @property
    def together(self) -> bool:
        """Whether the units are judged in one go."""
        return self.job.hosted.verifier.runs is Placement.DEVICE

    def pending(self, after: int = -1) -> list[Unit]:
        """The units behind a place that are not finished, the one that runs first."""
        return [self.units[place] for place in range(after + 1, len(self.done)) if not self.done[place]]

    def first(self) -> Unit:
        """The first that is not finished; there is one."""
        return self.units[self.done.index(0)]

    def place(self, unit: Unit | None) -> int:
        """The place of a unit; -1 for one that is not here."""
        units = self.units.made() if isinstance(self.units, Stretch) else enumerate(self.units)
        return next((place for place, candidate in units if candidate is unit), -1)

    def finish(self, first: int, last: int) -> None:
        """Note that items are finished, up to but not including the last."""
        self.undone -= self.done.count(0, first, last)
        self.done[first:last] = b"\1" * (last - first)


class WorkerEvents(Protocol):
    """The owner of a worker."""

    def worker_ready(self, worker: WorkerProcess) -> None:
        """The worker has set its verifiers up."""

    def worker_result(
        self, unit: Unit, outcomes: Sequence[Outcome], run_us: int, usage: Usage | None, now: float
    ) -> None:
        """A unit is finished, at a time on the performance counter."""

    def worker_verdicts(self, stretch: Stretch, first: int, results: ChunkResults, now: float) -> None:
        """Consecutive rollouts of a stretch are judged, the first of them at that place."""

    def worker_free(self, worker: WorkerProcess) -> None:
        """The worker has finished some units and may have room for more."""

    def worker_dead(self, worker: WorkerProcess, exit_code: int | None) -> None:
        """The process has ended, for whatever reason."""


class WorkerProcess(asyncio.Protocol):
    """One worker process, its pipe and the chunks that it holds."""

    def __init__(self, events: WorkerEvents, specs: Sequence[WorkerSpec]) -> None:
        self._events = events
        self._specs = specs
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._process: multiprocessing.Process | None = None
        self._progress: Progress | None = None
        self._relay: Relay | None = None
        self._reaping: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._numbers = 0
        self.chunks: deque[Chunk] = deque()
        self.ready = False
        self.introduced = False
        self._parent = 0
        self.batch_tokens = self.item_tokens = 0
        self.facts: Mapping[str, str] = {}
        self.refusal = ""
        self.finished_items = 0
        self.last_progress = time.perf_counter()
        self.stalled = False
        self.killed_for: KillReason | None = None
        self.host_kills = 0

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid if self._process is not None else None

    @property
    def begun(self) -> Unit | None:
        """The unit that the worker has begun and not finished, as the memory says that it shares with the server."""
        number, place, _ = self._progress.read() if self._progress is not None else (0, 0, False)
        for chunk in self.chunks:
            if chunk.number == number and place < len(chunk.units) and not chunk.done[place]:
                return chunk.units[place]
        return None

    @property
    def disturbed(self) -> bool:
        """Whether the item that began last shares the worker with what earlier items have left computing there."""
        return self._progress is not None and self._progress.read()[2]

    @property
    def current(self) -> Unit | None:
        """The unit that the worker is on, or that it will begin next."""
        return self.begun or (self.chunks[0].first() if self.chunks else None)

    async def start(self, context: BaseContext, starter: Executor | None = None) -> None:
        """Start the process.

        Args:
            context: What starts it.
            starter: Where that is waited for; the threads of the loop unless said.
        """
        near, far = context.Pipe(duplex=True)
        process = context.Process(  # type: ignore[attr-defined]
            target=_worker_main.main, args=(far, self._specs), daemon=True, name="assay-worker"
        )
        with orphans.starting():
            await asyncio.get_running_loop().run_in_executor(starter, process.start)
            assert process.pid is not None
            orphans.remember(process.pid)
            # Not told by the worker: the kernel would name another process where this one has just died.
            self._parent = fork_parent(context)
        far.close()
        self._process = process
        endpoint = socket.socket(fileno=socket.dup(near.fileno()))
        near.close()
        self._share(endpoint)
        endpoint.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=endpoint)
        # The pipe alone does not tell: what a verifier has started may hold the worker's end of it open.
        loop.add_reader(process.sentinel, self._process_ended, process.sentinel)

    def _share(self, endpoint: socket.socket) -> None:
        """Give the worker the memory that says where it is, and the pipe that it prints into."""
        memory = Progress.create()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._progress = Progress(memory)
            self._relay = Relay(reading)
            socket.send_fds(endpoint, [b"\0"], [memory, writing])
        except ConnectionError:
            pass  # it has died already; the sentinel says so
        finally:
            os.close(memory)
            os.close(writing)

    def send(self, hosting: int, units: Units) -> None:
        """Give the worker a chunk."""
        assert self._transport is not None
        self._numbers += 1
        if not self.chunks:
            self.last_progress = time.perf_counter()
        self.chunks.append(Chunk(self._numbers, units))
        self._transport.writelines(encode_chunk(self._numbers, hosting, units))

    def recall(self) -> list[Unit]:
        """Take back what waits behind the current item.

        Batches stay: a device has one worker, which has prepared the next one by now. The worker is told the last
        place that it is to run: a worker that was not scheduled learns of it before it has
        begun, and runs its item all the same.

        Returns:
            The withdrawn units. The worker may have begun one of them: the first to finish settles it.
        """
        assert self._transport is not None
        current = self.current
        recalled: list[Unit] = []
        for chunk in self.chunks:
            if chunk.together:
                continue
            last = chunk.place(current)
            back = chunk.pending(last)
            if back:
                self._transport.write(drop_after(chunk.number, last))
                recalled += back
                chunk.finish(last + 1, len(chunk.units))
        self.chunks = deque(chunk for chunk in self.chunks if chunk.undone)
        return recalled

    def kill(self, reason: KillReason) -> None:
        """End the process and its children at once.

        Args:
            reason: Why; ``worker_dead`` reads it from ``killed_for``.
        """
        self.killed_for = self.killed_for or reason
        pid = self.pid
        if pid is not None:
            kill_tree(pid)

    async def join(self) -> None:
        """Wait until the process has ended and its owner knows."""
        if self._reaping is not None:
            await self._reaping
        elif self._process is not None:
            await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take messages of the worker. One that sends anything else is no worker of ours any more, and is ended."""
        if self.killed_for is KillReason.GARBAGE:
            return
        now = time.perf_counter()
        try:
            for payload in self._reader.feed(data):
                message = read_message(payload)
                if isinstance(message, ChunkResults):
                    self._take_results(now, message)
                else:
                    self._take_hello(message)
        except MessageError as error:
            _log.error("a worker has sent what cannot be read (%s); it is replaced", error)
            self.kill(KillReason.GARBAGE)
            return
        if self.ready:
            self._events.worker_free(self)

    def _take_hello(self, greeting: dict[str, Any]) -> None:
        if "refused" in greeting or self.introduced:
            self.refusal = str(greeting.get("refused", "it introduced itself twice"))
            return
        self.facts = {str(name): str(value) for name, value in dict(greeting.get("facts") or {}).items()}
        self.batch_tokens = int(greeting.get("batch_tokens") or 0)
        self.item_tokens = int(greeting.get("item_tokens") or 0)
        self.ready = self.introduced = True
        self._events.worker_ready(self)

    def _process_ended(self, sentinel: int) -> None:
        """End what the process has left behind, so that the pipe ends, too, after everything in it has been read."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(sentinel)
        if self.pid is not None:
            kill_group(self.pid)
        if self._transport is not None:
            # Only a process that has left the group still holds the pipe then.
            loop.call_later(_LINGER, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended or is about to."""
        self.ready = False
        self._reaping = asyncio.get_running_loop().create_task(self._reap())

    async def _reap(self) -> None:
        process = self._process
        assert process is not None
        await asyncio.get_running_loop().run_in_executor(None, process.join, 5.0)
        if process.exitcode is None:
            process.kill()
            await asyncio.get_running_loop().run_in_executor(None, process.join)
        asyncio.get_running_loop().remove_reader(process.sentinel)
        if process.pid is not None:
            orphans.forget(process.pid)
            kill_group(process.pid)
            orphans.end(self._parent)
        if self._relay is not None:
            self._relay.close()
        try:
            self._events.worker_dead(self, process.exitcode)
        finally:
            process.close()
            self._process = None
            if self._progress is not None:
                self._progress.close()
                self._progress = None
            self._ended.set()

    def _take_results(self, now: float, message: ChunkResults) -> None:
        self.last_progress = now
        self.stalled = False
        chunk = next((chunk for chunk in self.chunks if chunk.number == message.number), None)
        if chunk is None:
            return
        if (stretch := _as_they_are(chunk, message)) is not None:
            first, last = message.places[0], message.places[-1] + 1
            self.finished_items += last - first
            chunk.finish(first, last)
            self._events.worker_verdicts(stretch, first, message, now)
        else:
            for place, outcomes, run_us, usage in message.one_by_one():
                if place >= len(chunk.units):
                    raise MessageError(f"a result for place {place} of a chunk of {len(chunk.units)}")
                unit = chunk.units[place]
                self.finished_items += 1
                chunk.finish(place, place + 1)
                if not unit.settled:
                    self._events.worker_result(unit, _checked(unit, outcomes), run_us, usage, now)
        if chunk.undone == 0:
            self.chunks.remove(chunk)


def _as_they_are(chunk: Chunk, results: ChunkResults) -> Stretch | None:
    """The stretch whose results can be passed on all at once: each is what it should be, and none goes its own way."""
    units, places = chunk.units, results.places
    if results.others or not places or not isinstance(units, Stretch) or not units.whole:
        return None
    first, last = places[0], places[-1] + 1
    if last > len(units) or tuple(places) != tuple(range(first, last)) or any(chunk.done[first:last]):
        return None
    verifier = units.job.hosted.verifier
    low, high = verifier.low, verifier.high
    return units if all(low <= score <= high for score in results.scores) else None


def _checked(unit: Unit, outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes; a score that the verifier does not declare becomes a fault.

    Raises:
        MessageError: There is not one for each rollout.
    """
    if len(outcomes) != (len(unit.subject) if isinstance(unit.subject, Group) else 1):
        raise MessageError(f"{len(outcomes)} outcomes for an item")
    verifier = unit.job.hosted.verifier
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, Verdict) and not verifier.low <= outcome.score <= verifier.high:
            problem = f"a worker of {verifier.name} sent the score {outcome.score!r}, outside its range"
            outcomes[place] = Fault(Party.SERVICE, "invalid_score", problem)
    return outcomes
