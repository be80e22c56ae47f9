"""What runs inside a worker process: chunks in, results out.

A worker may die at any time, by a crash of the verifier or by the server's hand, so it keeps nothing that matters. CPU
time bounds each item twice: a timer of the kernel kills a worker that spins, and an item that ends by itself is
measured, so that the same item gets the same outcome whichever side notices first. Results of quick items travel
together; the memory shared with the server says which item is running, whatever becomes of the worker.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing.forkserver
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from reward_servers.core._bound import Instance, limit_verdict, load_path, outcome_of, replicate
from reward_servers.core._context import Context
from reward_servers.core._digest import code_digest
from reward_servers.core._errors import StartupError
from reward_servers.core._outcomes import Fault, Outcome, Usage
from reward_servers.core._verifier import Placement, Verifier
from reward_servers.core.executors._device_main import DeviceWorker
from reward_servers.core.executors._frames import FrameReader
from reward_servers.core.executors._leftovers import Leftovers
from reward_servers.core.executors._messages import ResultsWriter, hello
from reward_servers.core.executors._orders import ChunkItem, Order, WorkerSpec, read_order
from reward_servers.core.executors._process_tree import adopt_orphans
from reward_servers.core.executors._progress import Progress
from reward_servers.core.executors._usage import cpu_now
from reward_servers.process.parent import end_with_parent

_log = logging.getLogger("assay.worker")

OVERRUN = 1.25
"""A spinning item is killed at this multiple of its CPU limit: beyond doubt, whatever the clock's resolution."""
LEFT_MEMORY = 75
"""Exit code of a worker in which earlier items have left so much that the current one cannot be judged there."""

LEFT_COMPUTING = 76
"""Exit code of a worker in which what earlier items have left has used the time of the current one."""

OWN_MEMORY = 77
"""Exit code of a worker that nothing was left in, whose memory an item has exhausted by what it holds or says."""

LEFT_RUNNING = 78
"""Exit code of a worker in which what earlier items have left computes while no item runs."""

_LOOK_EVERY = 5.0
"""Seconds between looks at what items have left: each holds the worker up for a moment."""
_LEFT_BEHIND = 1 / 16
"""Share of the memory bound that earlier items may have left in use when one is said to have exhausted the rest."""
_POLL = 0.001
_TICK = 0.02
"""Seconds by which the kernel may round a timer up."""
_TOGETHER = 64
"""Results that travel in one message at most."""
_HELD_BACK = 0.001
"""Seconds that a finished result waits for others: quick items share a message, slow ones are told at once."""
_TO_THE_SERVER = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that terminals, job schedulers and ``killpg`` send to every process; the server acts on them for all."""


def main(connection: Connection, specs: Sequence[WorkerSpec]) -> None:
    """Set the verifiers up, say so, and serve chunks until the server goes away.

    Args:
        connection: One end of a socket pair whose other end the server holds. Two descriptors come over it first:
            the memory for the progress, and a pipe for what is printed.
        specs: The verifiers to set up.
    """
    channel = socket.socket(fileno=connection.fileno())
    _, (memory, printed), _, _ = socket.recv_fds(channel, 1, 2)
    _isolate_process(printed)
    _leave_the_fork_parent()
    progress = Progress(memory, last=True)
    os.close(memory)
    try:
        verifiers = [load_path(hosting.path) for hosting in specs]
        _check_code(specs, verifiers)
        instances = [Instance(verifier, hosting.settings) for verifier, hosting in zip(verifiers, specs, strict=True)]
    except Exception as error:  # noqa: BLE001 - any reason not to start is told to the operator in words
        channel.sendall(hello({"refused": f"{type(error).__name__}: {error}"}))
        channel.detach()
        return
    facts = {name: value for instance in instances for name, value in instance.facts().items()}
    batch = max((instance.batch_tokens for instance in instances), default=0)
    item = max((instance.item_tokens for instance in instances), default=0)
    channel.sendall(hello({"facts": facts, "batch_tokens": batch, "item_tokens": item}))
    worker = _Worker(channel, specs, instances, progress)
    with contextlib.suppress(ConnectionError):
        if any(instance.verifier.runs is Placement.DEVICE for instance in instances):
            DeviceWorker(channel, instances, progress, worker.bound_memory).serve()
        else:
            worker.serve()
    for instance in instances:
        instance.close()
    channel.detach()


def _check_code(specs: Sequence[WorkerSpec], verifiers: Sequence[Verifier]) -> None:
    """Refuse to judge with other code than the one that the digest of a verifier names.

    Raises:
        StartupError: The files have changed since.
    """
    inherited = sys.modules.get("reward_servers.core.executors._loaded_code")
    digest: str = inherited.digest if inherited is not None else ""
    for spec, verifier in zip(specs, verifiers, strict=True):
        if spec.code and (digest or code_digest(verifier.modules)) != spec.code:
            raise StartupError(f"the code of {spec.path} has changed since it was registered; register it again")


def _isolate_process(printed: int) -> None:
    """Make the worker end with the server, lead its own group, adopt what items leave, and print into the pipe."""
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL)
    adopt_orphans()
    for number in _TO_THE_SERVER:
        # Not SIG_IGN: programs that a verifier starts would inherit that, and could not be asked to end.
        signal.signal(number, _leave_to_the_server)
    os.register_at_fork(after_in_child=_restore_signals)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


def _leave_the_fork_parent() -> None:
    """Close the end of a pipe that would end the process which workers are forked from, and all workers with it."""
    parent: Any = multiprocessing.forkserver._forkserver
    descriptor, parent._forkserver_alive_fd = parent._forkserver_alive_fd, None
    if descriptor is not None:
        os.close(descriptor)


def _leave_to_the_server(number: int, frame: object) -> None:
    """Do nothing."""


def _restore_signals() -> None:
    """Let a child that a verifier forks end by the usual signals."""
    for number in _TO_THE_SERVER:
        signal.signal(number, signal.SIG_DFL)


def _memory_now() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


class _Worker:
    def __init__(
        self, channel: socket.socket, specs: Sequence[WorkerSpec], instances: Sequence[Instance], progress: Progress
    ) -> None:
        self._channel = channel
        self._specs = specs
        self._instances = instances
        self._progress = progress
        self._reader = FrameReader()
        self._writer = ResultsWriter()
        self._written_at = 0.0
        self._leftovers = Leftovers()
        self._me = os.getpid()
        self._waiting: list[Order] = []
        self._last: dict[int, int] = {}
        self._polled_at = 0.0
        self._timer_limit = 0.0
        # A timer that a verifier sets for all its items is its own.
        self._timers = [
            timer for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL) if not signal.getitimer(timer)[0]
        ]
        self._idle_memory = _memory_now()
        self._memory_limit = -1
        self._is_fresh = True
        self._has_warned = False
        self._looked_at = -_LOOK_EVERY
        # A child that a verifier forks must never answer for it.
        os.register_at_fork(after_in_child=channel.close)

    def serve(self) -> None:
        try:
            while True:
                while not self._waiting:
                    self._receive()
                self._run_chunk(self._waiting.pop(0))
        except MemoryError:
            # Within an item that is its outcome. Around one it is what others have left, or what it says.
            os._exit(OWN_MEMORY if self._is_fresh else LEFT_MEMORY)

    def _receive(self) -> None:
        data = self._channel.recv(1 << 20)
        if not data:
            raise ConnectionResetError("the server went away")
        for payload in self._reader.feed(data):
            order = read_order(payload)
            if order.last is None:
                self._waiting.append(order)
            else:
                self._last[order.number] = order.last

    def _poll(self) -> None:
        """Take what has come meanwhile, now and then: a system call for each quick item adds up."""
        now = time.perf_counter()
        if now - self._polled_at < _POLL:
            return
        self._polled_at = now
        while select.select([self._channel], [], [], 0)[0]:
            self._receive()

    def _run_chunk(self, order: Order) -> None:
        number, instance = order.number, self._instances[order.hosting]
        self.bound_memory(order.hosting)
        self._timer_limit = 0.0
        for place, item in enumerate(self._items(order)):
            if place:
                self._poll()
            # What waited behind a slow item is another worker's by now. The item that the server has left here is
            # named, so that it is run even when this worker learns of it before it has begun.
            if place > self._last.get(number, place):
                break
            self._progress.begin(number, place, disturbed=self._leftovers.compute)
            self._run_item(number, place, instance, item)
        self._flush()
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._last = {later: place for later, place in self._last.items() if later > number}
        if self._leftovers.compute and time.perf_counter() - self._looked_at > _LOOK_EVERY:
            if self._leftovers.compute_now():
                # It would slow every later item down, and take a processor for ever.
                os._exit(LEFT_RUNNING)
            self._looked_at = time.perf_counter()

    def _items(self, order: Order) -> list[ChunkItem]:
        """The items of a chunk."""
        try:
            return order.items()
        except Exception as error:
            if self._is_fresh:
                raise
            # What the server could read; protobuf reports a lack of memory as an error of its own.
            raise MemoryError from error

    def bound_memory(self, hosting: int) -> None:
        """Set the kernel's bound for a verifier."""
        allowed = self._specs[hosting].memory
        if allowed == self._memory_limit:
            return
        self._memory_limit = allowed
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = self._idle_memory + allowed if allowed else hard
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def _arm_timer(self, max_cpu_s: float) -> None:
        """Set the kernel's timer again where a tenth of it is used, or an item has set it to something else."""
        left, interval = signal.getitimer(signal.ITIMER_PROF)
        limit = max_cpu_s * OVERRUN
        if max_cpu_s != self._timer_limit or interval or not 0.0 <= limit - left + _TICK <= 0.1 * max_cpu_s + _TICK:
            signal.setitimer(signal.ITIMER_PROF, limit)
            self._timer_limit = max_cpu_s

    def _end_timers(self) -> None:
        """End what an item has left set to interrupt it: it would interrupt another."""
        for timer in self._timers:
            signal.setitimer(timer, 0)

    def _run_item(self, number: int, place: int, instance: Instance, item: ChunkItem) -> None:
        subject, max_cpu_s = item.subject, item.max_cpu_s
        self._arm_timer(max_cpu_s)
        context = instance.context(subject, item.seed, item.deadline)
        cpu, started = cpu_now(), time.perf_counter()
        outcomes: Sequence[Outcome]
        exhausted = False
        try:
            arguments = instance.arguments(subject, item.options, context)
            if isinstance(arguments, Fault):
                outcomes = replicate(subject, arguments)
            else:
                outcomes = instance.settle(instance.function(*arguments), subject, context)
        except BaseException as error:  # noqa: BLE001 - whatever a verifier raises becomes a typed outcome
            exhausted = isinstance(error, MemoryError)
            outcomes = replicate(subject, outcome_of(error, instance.verifier))
        self._end_timers()
        if os.getpid() != self._me:
            os._exit(0)  # a child that the verifier forked and let return
        if exhausted:
            self._check_whose_memory()
        cpu = cpu_now() - cpu
        if cpu > max_cpu_s:
            if self._leftovers.compute:
                self._flush()
                os._exit(LEFT_COMPUTING)
            exceeded = limit_verdict(instance.verifier, f"CPU limit of {max_cpu_s:g} s")
            outcomes = replicate(subject, exceeded)
        ended = time.perf_counter()
        self._leftovers.end()
        if self._leftovers.compute and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "an item of %s has left threads or processes; what they compute is counted as later items' time, "
                "so an item that is over its limits here is judged again by itself",
                instance.verifier.name,
            )
        self._report(number, place, outcomes, ended - started, cpu, context)
        if self._writer.count >= _TOGETHER or self._writer.large or ended - self._written_at > _HELD_BACK:
            self._flush(ended)
        self._is_fresh = False

    def _check_whose_memory(self) -> None:
        """End this worker when earlier items have left too much behind in it: the item is tried again on a fresh one.

        What a candidate exhausts is a verdict; what other items have used up before it must not be.
        """
        gc.collect()
        if not self._is_fresh and _memory_now() - self._idle_memory > self._memory_limit * _LEFT_BEHIND:
            self._flush()
            os._exit(LEFT_MEMORY)

    def _report(
        self,
        number: int,
        place: int,
        outcomes: Sequence[Outcome],
        wall: float,
        cpu: float,
        context: Context | None,
    ) -> None:
        cpu_us = int(cpu * 1e6)
        usage = Usage(cpu_us) if context is None else context.spent(cpu_us)
        self._writer.add(number, place, outcomes, int(wall * 1e6), usage)

    def _flush(self, now: float = 0.0) -> None:
        if self._writer.count:
            self._channel.sendall(self._writer.take())
            self._written_at = now or time.perf_counter()
