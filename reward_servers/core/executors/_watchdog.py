"""Watches worker processes: items that are stuck, that wait without computing, or that nobody waits for any more.

Time that a worker spends waiting for a processor is not its item's: on a crowded host an item has as long as on an idle
one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence

import psutil

from reward_servers.core._work import Unit
from reward_servers.core.executors._worker import WorkerProcess
from reward_servers.core.executors._worker_main import OVERRUN

__all__ = ["Watchdog"]

_log = logging.getLogger("assay.server")
_TICK = 0.05
_STUCK = 0.1
_HARD_CAP = 10.0


class Watchdog:
    """Looks at every busy worker a few times per second."""

    def __init__(self, workers: Collection[WorkerProcess], take_back: Callable[[Sequence[Unit]], None]) -> None:
        self._workers = workers
        self._take_back = take_back
        self._children: dict[Unit, dict[int, float]] = {}
        self._delays: dict[Unit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._look)

    def stop(self) -> None:
        """Ends the watch."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = time.perf_counter()
        seen: set[Unit] = set()
        for worker in list(self._workers):
            unit = worker.current if worker.ready else None
            if unit is None or now - worker.last_progress < _STUCK:
                continue
            seen.add(unit)
            self._judge(worker, unit, now - worker.last_progress)
        for known in (self._children, self._delays):
            for unit in known.keys() - seen:
                del known[unit]
        self.start()

    def _judge(self, worker: WorkerProcess, unit: Unit, age: float) -> None:
        name, wall = unit.job.hosted.identity.name, unit.job.hosted.limits.wall
        starved = self._starved(worker, unit)
        if unit.settled and all(one.settled for one in worker.chunks[0].pending()):
            worker.kill("abandoned")
        elif age - starved > wall or age > _HARD_CAP * wall:
            _log.warning("%s did not move for %.0f s; its worker is replaced", name, age)
            worker.kill("wall")
        elif self._children_cpu(worker, unit) > unit.job.cpu_limit * OVERRUN:
            worker.kill("cpu")
        elif not worker.stalled:
            worker.stalled = True
            self._take_back(worker.recall())

    def _starved(self, worker: WorkerProcess, unit: Unit) -> float:
        """Seconds that the worker has waited for a processor since this item was first seen here."""
        try:
            with open(f"/proc/{worker.pid}/schedstat", encoding="ascii") as file:
                delay = int(file.read().split()[1]) / 1e9
        except OSError:
            return 0.0
        return delay - self._delays.setdefault(unit, delay)

    def _children_cpu(self, worker: WorkerProcess, unit: Unit) -> float:
        """CPU time that the worker's children have used since this item was first seen here.

        The worker's own time is bounded by the kernel's timer.
        """
        try:
            children = psutil.Process(worker.pid).children(recursive=True)
            times = {child.pid: sum(child.cpu_times()[:4]) for child in children}
        except psutil.Error:
            return 0.0
        before = self._children.setdefault(unit, times)
        return float(sum(used - before.get(pid, 0.0) for pid, used in times.items()))
