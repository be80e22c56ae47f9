"""What runs inside the worker process of a device: batches in, results out.

A second thread reads what comes and prepares it (a verifier's ``prepare``, such as tokenising), so that the device does
not wait for that. What an item's preparation raises is that item's outcome alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NoReturn

from reward_servers.core._bound import Instance, outcome_of
from reward_servers.core._context import Context
from reward_servers.core._errors import DeviceLostError
from reward_servers.core._model import Rollout
from reward_servers.core._outcomes import Fault, Outcome, Score, Skip, SkipReason, Usage
from reward_servers.core._verifier import Item
from reward_servers.core.executors._frames import FrameReader
from reward_servers.core.executors._messages import ResultsWriter
from reward_servers.core.executors._orders import ChunkItem, read_order
from reward_servers.core.executors._progress import Progress
from reward_servers.core.executors._usage import cpu_now

LOST_DEVICE = 79
"""Exit code of a worker whose device computes no more; `_worker_main` has the codes before it."""

_log = logging.getLogger("assay.worker")


@dataclass(slots=True)
class _Waiting:
    """An item that is ready for the device, with its place in its chunk and its deadline."""

    place: int
    item: Item
    deadline: float | None


@dataclass(slots=True)
class _Batch:
    """A chunk that is ready: items for the device, and what is already known of others."""

    number: int
    instance: Instance
    waiting: list[_Waiting]
    known: list[tuple[int, Outcome, Context | None]]


class DeviceWorker:
    """Serves chunks of a batching verifier until the server goes away."""

    def __init__(
        self,
        channel: socket.socket,
        instances: Sequence[Instance],
        progress: Progress,
        bound_memory: Callable[[int], None],
    ) -> None:
        """Take what a worker holds.

        Args:
            channel: Where chunks come from and results go.
            instances: The verifiers.
            progress: Memory that says which chunk is running.
            bound_memory: Called with the place of the verifier that is about to run.
        """
        self._channel = channel
        self._instances = instances
        self._progress = progress
        self._bound_memory = bound_memory
        self._writer = ResultsWriter()
        self._ready: queue.SimpleQueue[tuple[int, _Batch] | None] = queue.SimpleQueue()

    def serve(self) -> None:
        """Run until the server has closed the channel."""
        threading.Thread(target=self._read, name="prepare", daemon=True).start()
        while (ready := self._ready.get()) is not None:
            self._bound_memory(ready[0])
            self._run(ready[1])

    def _read(self) -> None:
        reader = FrameReader()
        try:
            with contextlib.suppress(ConnectionError):
                while data := self._channel.recv(1 << 20):
                    for payload in reader.feed(data):
                        order = read_order(payload)
                        batch = self._prepared(order.number, self._instances[order.hosting], order.items())
                        self._ready.put((order.hosting, batch))
        finally:
            self._ready.put(None)

    def _prepared(self, number: int, instance: Instance, subjects: Sequence[ChunkItem]) -> _Batch:
        batch = _Batch(number, instance, [], [])
        for place, subject_asked in enumerate(subjects):
            rollout = subject_asked.subject
            assert isinstance(rollout, Rollout)  # a batching verifier judges no groups
            reference = instance.reference(rollout)
            if isinstance(reference, Fault):
                batch.known.append((place, reference, None))
                continue
            context = instance.context(rollout, subject_asked.seed, subject_asked.deadline)
            assert context is not None
            options = instance.options(subject_asked.options)
            item = Item(rollout, reference, options, context)
            try:
                prepared = instance.prepare(item)
            except BaseException as error:  # noqa: BLE001 - whatever a verifier raises becomes a typed outcome
                batch.known.append((place, outcome_of(error, instance.verifier), context))
                continue
            if isinstance(prepared, Score | Fault):
                batch.known.append((place, _settled(instance, prepared, rollout, context), context))
            else:
                ready = Item(rollout, reference, options, context, prepared)
                batch.waiting.append(_Waiting(place, ready, subject_asked.deadline))
        return batch

    def _run(self, batch: _Batch) -> None:
        self._progress.begin(batch.number, 0)
        for place, outcome, context in batch.known:
            self._report(batch.number, place, outcome, 0.0, 0.0, context)
        now = time.monotonic()
        for unit in batch.waiting:
            if unit.deadline is not None and unit.deadline <= now:
                self._report(batch.number, unit.place, Skip(SkipReason.DEADLINE), 0.0, 0.0, unit.item.context)
        in_time = [unit for unit in batch.waiting if unit.deadline is None or unit.deadline > now]
        self._judge(batch, in_time)
        if self._writer.count:
            self._channel.sendall(self._writer.take())

    def _judge(self, batch: _Batch, waiting: Sequence[_Waiting]) -> None:
        """Judge a whole batch; when that fails, each item alone, so that one broken item costs only itself."""
        if not waiting:
            return
        instance = batch.instance
        cpu, started = cpu_now(), time.perf_counter()
        try:
            returned = instance.function([unit.item for unit in waiting])
            if isinstance(returned, Mapping | Set):
                raise TypeError(f"score_batch returned a {type(returned).__name__}, which is in no order of items")
            if len(returned) != len(waiting):
                raise ValueError(f"score_batch returned {len(returned)} scores for {len(waiting)} items")
        except DeviceLostError as error:
            self._leave(error)
        except BaseException as error:  # noqa: BLE001 - as above; the halves find the item that causes it
            if len(waiting) > 1:
                middle = len(waiting) // 2
                self._judge(batch, waiting[:middle])
                self._judge(batch, waiting[middle:])
            else:
                fault = outcome_of(error, instance.verifier)
                spent = time.perf_counter() - started
                self._report(batch.number, waiting[0].place, fault, spent, 0.0, waiting[0].item.context)
            return
        share = 1.0 / len(waiting)
        wall, cpu = (time.perf_counter() - started) * share, (cpu_now() - cpu) * share
        for unit, judged in zip(waiting, returned, strict=True):
            outcome = _settled(instance, judged, unit.item.rollout, unit.item.context)
            self._report(batch.number, unit.place, outcome, wall, cpu, unit.item.context)

    def _leave(self, error: DeviceLostError) -> NoReturn:
        """End, when what is known has been told: nothing more can be computed in this process."""
        _log.error("the device is lost: %s", error)
        if self._writer.count:
            self._channel.sendall(self._writer.take())
        os._exit(LOST_DEVICE)

    def _report(
        self, number: int, place: int, outcome: Outcome, wall: float, cpu: float, context: Context | None
    ) -> None:
        cpu_us = int(cpu * 1e6)
        usage = Usage(cpu_us) if context is None else context.spent(cpu_us)
        self._writer.add(number, place, [outcome], int(wall * 1e6), usage)


def _settled(instance: Instance, judged: object, rollout: Rollout, context: Context) -> Outcome:
    """The outcome of an item; what cannot be made one is the item's own fault and not its batch's."""
    try:
        return instance.settle(judged, rollout, context)[0]
    except BaseException as error:  # noqa: BLE001 - objects of a verifier may raise whatever is asked of them
        return outcome_of(error, instance.verifier)
