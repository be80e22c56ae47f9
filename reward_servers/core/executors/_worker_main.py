"""What runs inside a worker process: chunks in, one message out for each finished item.

A worker may die at any time, by a crash of the verifier or by the server's hand, so it keeps nothing that matters. CPU
time bounds each item twice: a timer of the kernel kills a worker that spins, and an item that ends by itself is
measured, so that the same item gets the same outcome whoever notices first.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
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

from reward_servers.core._context import Context
from reward_servers.core._hosted import Instance, bound_exceeded, load_path, outcome_of, spread
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Fault, Outcome
from reward_servers.core._verifier import Item, Runs
from reward_servers.core.executors._messages import FrameReader, Hosting, decode_chunk, encode_outcome, frame

__all__ = ["OVERRUN", "main"]

OVERRUN = 1.25
"""A spinning item is killed at this multiple of its CPU limit: beyond doubt, whatever the clock's resolution."""

_PR_SET_PDEATHSIG = 1
_LEFT_BEHIND = 1 / 16
"""Share of the memory bound that earlier items may have left in use when one is said to have exhausted the rest."""
_POLL = 0.001


def main(connection: Connection, hostings: Sequence[Hosting]) -> None:
    """Sets the verifiers up, says so, and serves chunks until the server goes away.

    Args:
        connection: One end of a socket pair whose other end the server holds.
        hostings: The verifiers to set up.
    """
    _isolate_process()
    channel = socket.socket(fileno=connection.fileno())
    try:
        verifiers = [load_path(hosting.path) for hosting in hostings]
        instances = [
            Instance(verifier, hosting.settings) for verifier, hosting in zip(verifiers, hostings, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - any reason not to start is told to the operator in words
        channel.sendall(frame(("refused", f"{type(error).__name__}: {error}")))
        channel.detach()
        return
    facts = {name: value for instance in instances for name, value in instance.facts().items()}
    channel.sendall(frame(("ready", facts)))
    with contextlib.suppress(ConnectionError):
        _Worker(channel, hostings, instances).serve()
    for instance in instances:
        instance.close()
    channel.detach()


def _isolate_process() -> None:
    """Makes the worker die with the server, lead its own group, and print to standard error alone."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


def _cpu_now() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _memory_now() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


class _Worker:
    def __init__(self, channel: socket.socket, hostings: Sequence[Hosting], instances: Sequence[Instance]) -> None:
        self._channel = channel
        self._hostings = hostings
        self._instances = instances
        self._reader = FrameReader()
        self._waiting: list[tuple[Any, ...]] = []
        self._dropped: set[int] = set()
        self._polled_at = 0.0
        self._timer_set_at = 0.0
        self._timer_limit = 0.0
        self._idle_memory = _memory_now()
        self._memory_limit = 0
        self._is_fresh = True

    def serve(self) -> None:
        while True:
            while not self._waiting:
                self._receive()
            message = self._waiting.pop(0)
            self._run_chunk(*message[1:])

    def _receive(self) -> None:
        data = self._channel.recv(1 << 20)
        if not data:
            raise ConnectionResetError("the server went away")
        for message in self._reader.feed(data):
            if message[0] == "run":
                self._waiting.append(message)
            else:
                self._dropped.add(message[1])

    def _poll(self) -> None:
        """Takes what has come meanwhile, now and then: a system call for each quick item adds up."""
        now = time.perf_counter()
        if now - self._polled_at < _POLL:
            return
        self._polled_at = now
        while select.select([self._channel], [], [], 0)[0]:
            self._receive()

    def _run_chunk(self, number: int, hosting: int, options: bytes, cpu_limit: float, shared: Any, items: Any) -> None:
        instance = self._instances[hosting]
        self._bound_memory(self._hostings[hosting].memory)
        subjects = decode_chunk(shared, items)
        self._timer_limit = 0.0
        if instance.verifier.runs is Runs.DEVICE:
            self._run_batch(number, instance, options, subjects)
        else:
            for place, (subject, seed, deadline) in enumerate(subjects):
                if place:
                    self._poll()
                if number in self._dropped:
                    break
                self._run_item(number, place, instance, options, cpu_limit, subject, seed, deadline)
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._dropped = {later for later in self._dropped if later > number}

    def _bound_memory(self, allowed: int) -> None:
        if allowed == self._memory_limit:
            return
        self._memory_limit = allowed
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = self._idle_memory + allowed if allowed else hard
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def _arm_timer(self, cpu_limit: float) -> None:
        """Sets the kernel's timer. It is set anew only once a tenth of it is used: a system call per item adds up."""
        now = time.process_time()
        if cpu_limit != self._timer_limit or now - self._timer_set_at > 0.1 * cpu_limit:
            signal.setitimer(signal.ITIMER_PROF, cpu_limit * OVERRUN)
            self._timer_limit = cpu_limit
            self._timer_set_at = now

    def _run_item(
        self,
        number: int,
        place: int,
        instance: Instance,
        options: bytes,
        cpu_limit: float,
        subject: Rollout | Group,
        seed: int,
        deadline: float | None,
    ) -> None:
        self._arm_timer(cpu_limit)
        context = instance.context(subject, seed, deadline)
        cpu, started = _cpu_now(), time.perf_counter()
        outcomes: Sequence[Outcome]
        exhausted = False
        try:
            arguments = instance.arguments(subject, options, context)
            if isinstance(arguments, Fault):
                outcomes = spread(subject, arguments)
            else:
                outcomes = instance.settle(instance.function(*arguments), subject, context)
        except BaseException as error:  # noqa: BLE001 - whatever a verifier raises becomes a typed outcome
            exhausted = isinstance(error, MemoryError)
            outcomes = spread(subject, outcome_of(error, instance.verifier))
        if exhausted:
            self._check_whose_memory()
        cpu = _cpu_now() - cpu
        if cpu > cpu_limit:
            exceeded = bound_exceeded(instance.verifier.floor, f"CPU limit of {cpu_limit:g} s")
            outcomes = spread(subject, exceeded)
        self._report(number, place, outcomes, time.perf_counter() - started, cpu, context)
        self._is_fresh = False

    def _check_whose_memory(self) -> None:
        """Ends this worker when earlier items have left too much behind in it: the item is tried again on a fresh one.

        What a candidate exhausts is a verdict; what other items have used up before it must not be.
        """
        gc.collect()
        if not self._is_fresh and _memory_now() - self._idle_memory > self._memory_limit * _LEFT_BEHIND:
            os._exit(1)

    def _run_batch(self, number: int, instance: Instance, options: bytes, subjects: Sequence[Any]) -> None:
        """Judges a whole batch; when that fails, each item alone, so that one broken item costs only itself."""
        items: list[Item] = []
        places: list[int] = []
        for place, (subject, seed, deadline) in enumerate(subjects):
            reference = instance.reference(subject)
            if isinstance(reference, Fault):
                self._report(number, place, [reference], 0.0, 0.0, None)
                continue
            context = instance.context(subject, seed, deadline)
            assert context is not None
            items.append(Item(subject, reference, instance.options(options), context))
            places.append(place)
        self._judge_batch(number, instance, items, places)

    def _judge_batch(self, number: int, instance: Instance, items: list[Item], places: list[int]) -> None:
        if not items:
            return
        cpu, started = _cpu_now(), time.perf_counter()
        try:
            returned = instance.function(items)
            if len(returned) != len(items):
                raise ValueError(f"score_batch returned {len(returned)} scores for {len(items)} items")
        except BaseException as error:  # noqa: BLE001 - as above; the halves find the item that causes it
            if len(items) > 1:
                middle = len(items) // 2
                self._judge_batch(number, instance, items[:middle], places[:middle])
                self._judge_batch(number, instance, items[middle:], places[middle:])
            else:
                fault = outcome_of(error, instance.verifier)
                self._report(number, places[0], [fault], time.perf_counter() - started, 0.0, None)
            return
        wall, cpu = time.perf_counter() - started, (_cpu_now() - cpu) / len(items)
        for item, place, one in zip(items, places, returned, strict=True):
            outcomes = instance.settle(one, item.rollout, item.context)
            self._report(number, place, outcomes, wall, cpu, item.context)

    def _report(
        self,
        number: int,
        place: int,
        outcomes: Sequence[Outcome],
        wall: float,
        cpu: float,
        context: Context | None,
    ) -> None:
        usage = context.usage if context is not None else None
        spent = (usage.upstream_calls, usage.input_tokens, usage.output_tokens) if usage is not None else (0, 0, 0)
        encoded = [encode_outcome(outcome) for outcome in outcomes]
        self._channel.sendall(frame((number, place, encoded, int(wall * 1e6), (int(cpu * 1e6), *spent))))
