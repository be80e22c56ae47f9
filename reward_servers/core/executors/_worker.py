"""The server's end of one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from typing import Any, Protocol, cast

from reward_servers.core._outcomes import Outcome, Usage
from reward_servers.core._verifier import Runs
from reward_servers.core._work import Unit
from reward_servers.core.executors import _worker_main
from reward_servers.core.executors._messages import (
    FrameReader,
    Hosting,
    decode_outcome,
    decode_usage,
    encode_chunk,
    frame,
)

__all__ = ["Chunk", "WorkerEvents", "WorkerProcess"]

_LINGER = 1.0


def kill_tree(pid: int) -> None:
    """Kills a worker's process group: the worker leads it, and what it started is in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass(slots=True, eq=False)
class Chunk:
    """Units that were sent to a worker together.

    Attributes:
        number: Its number, for the messages about it.
        units: The units, in the order in which the worker takes them.
        undone: How many are not finished.
        done: Which are finished.
    """

    number: int
    units: Sequence[Unit]
    undone: int = 0
    done: list[bool] = field(default_factory=list)

    @property
    def together(self) -> bool:
        """Whether the units are judged in one go."""
        return self.units[0].job.hosted.verifier.runs is Runs.DEVICE

    def pending(self) -> list[Unit]:
        """The units that are not finished, the one that runs first."""
        return [unit for unit, done in zip(self.units, self.done, strict=True) if not done]


class WorkerEvents(Protocol):
    """Whoever owns a worker."""

    def worker_ready(self, worker: WorkerProcess) -> None:
        """The worker has set its verifiers up."""

    def worker_result(
        self, unit: Unit, outcomes: Sequence[Outcome], run_us: int, usage: Usage | None, now: float
    ) -> None:
        """A unit is finished, at a time on the performance counter."""

    def worker_free(self, worker: WorkerProcess) -> None:
        """The worker has finished some units and may have room for more."""

    def worker_dead(self, worker: WorkerProcess, exit_code: int | None) -> None:
        """The process has ended, for whatever reason."""


class WorkerProcess(asyncio.Protocol):
    """One worker process, its pipe and the chunks that it holds."""

    def __init__(self, events: WorkerEvents, hostings: Sequence[Hosting]) -> None:
        self._events = events
        self._hostings = hostings
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._process: multiprocessing.Process | None = None
        self._burial: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._numbers = 0
        self.chunks: deque[Chunk] = deque()
        self.ready = False
        self.facts: Mapping[str, str] = {}
        self.refusal = ""
        self.finished_items = 0
        self.last_progress = time.perf_counter()
        self.stalled = False
        self.killed_for = ""

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid if self._process is not None else None

    @property
    def current(self) -> Unit | None:
        """The unit that the worker is on."""
        return next(iter(self.chunks[0].pending()), None) if self.chunks else None

    async def start(self, context: BaseContext) -> None:
        """Starts the process."""
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(  # type: ignore[attr-defined]
            target=_worker_main.main, args=(theirs, self._hostings), daemon=True, name="assay-worker"
        )
        await asyncio.get_running_loop().run_in_executor(None, process.start)
        theirs.close()
        self._process = process
        endpoint = socket.socket(fileno=socket.dup(ours.fileno()))
        ours.close()
        endpoint.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=endpoint)
        # The pipe alone does not tell: what a verifier has started may hold the worker's end of it open.
        loop.add_reader(process.sentinel, self._process_ended, process.sentinel)

    def send(self, hosting: int, units: Sequence[Unit]) -> None:
        """Gives the worker a chunk."""
        assert self._transport is not None
        self._numbers += 1
        if not self.chunks:
            self.last_progress = time.perf_counter()
        self.chunks.append(Chunk(self._numbers, units, len(units), [False] * len(units)))
        self._transport.write(encode_chunk(self._numbers, hosting, units))

    def recall(self) -> list[Unit]:
        """Takes back what waits behind the current item.

        Returns:
            The units taken back. The worker may have begun one of them: whoever finishes first settles it.
        """
        assert self._transport is not None
        recalled: list[Unit] = []
        for place, chunk in enumerate(self.chunks):
            pending = chunk.pending()
            running = 0 if place else len(pending) if chunk.together else 1
            keep, back = pending[:running], pending[running:]
            recalled += back
            if back:
                self._transport.write(frame(("drop", chunk.number)))
            chunk.done = [unit not in keep for unit in chunk.units]
            chunk.undone = len(keep)
        while len(self.chunks) > 1:
            self.chunks.pop()
        return recalled

    def kill(self, reason: str) -> None:
        """Ends the process and its children at once.

        Args:
            reason: Why; ``worker_dead`` reads it from ``killed_for``.
        """
        self.killed_for = self.killed_for or reason
        pid = self.pid
        if pid is not None:
            kill_tree(pid)

    async def join(self) -> None:
        """Waits until the process has ended and its owner knows."""
        if self._burial is not None:
            await self._burial
        elif self._process is not None:
            await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Takes messages of the worker."""
        now = time.perf_counter()
        for message in self._reader.feed(data):
            if type(message[0]) is int:
                self._take_result(now, *message)
            elif message[0] == "ready":
                self.ready = True
                self.facts = message[1]
                self._events.worker_ready(self)
            else:
                self.refusal = message[1]
        if self.ready:
            self._events.worker_free(self)

    def _process_ended(self, sentinel: int) -> None:
        """Ends what the process has left behind, so that the pipe ends, too, after everything in it has been read."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(sentinel)
        if self.pid is not None:
            kill_tree(self.pid)
        if self._transport is not None:
            # Only a process that has left the group still holds the pipe then.
            loop.call_later(_LINGER, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended or is about to."""
        self.ready = False
        self._burial = asyncio.get_running_loop().create_task(self._bury())

    async def _bury(self) -> None:
        process = self._process
        assert process is not None
        await asyncio.get_running_loop().run_in_executor(None, process.join, 5.0)
        if process.exitcode is None:
            process.kill()
            await asyncio.get_running_loop().run_in_executor(None, process.join)
        asyncio.get_running_loop().remove_reader(process.sentinel)
        if process.pid is not None:
            kill_tree(process.pid)
        self._events.worker_dead(self, process.exitcode)
        process.close()
        self._process = None
        self._ended.set()

    def _take_result(
        self, now: float, number: int, place: int, encoded: Sequence[tuple[Any, ...]], run_us: int, usage: Any
    ) -> None:
        self.finished_items += 1
        self.last_progress = now
        self.stalled = False
        for chunk in self.chunks:
            if chunk.number == number:
                break
        else:
            return
        unit = chunk.units[place]
        if not chunk.done[place]:
            chunk.done[place] = True
            chunk.undone -= 1
        if chunk.undone == 0:
            self.chunks.remove(chunk)
        if not unit.settled:
            self._events.worker_result(unit, [decode_outcome(one) for one in encoded], run_us, decode_usage(usage), now)
