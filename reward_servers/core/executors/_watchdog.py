"""Watches worker processes: items that are stuck, that wait without computing, or that are no longer waited for.

Time that a worker spends waiting for a processor is not its item's, nor is time in which it or this server was stopped:
on a crowded host an item has as long as on an idle one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import psutil

from reward_servers.core._work import Unit
from reward_servers.core.executors._process_tree import is_helper, state_of
from reward_servers.core.executors._worker import KillReason, WorkerProcess
from reward_servers.core.executors._worker_main import OVERRUN

_log = logging.getLogger("assay.server")
_TICK = 0.05
_STUCK = 0.1
_HARD_CAP = 10.0
_STOPPED = 2.0
"""Seconds for which a worker may be stopped before its item is given to another."""
_ENDED = ("", "Z", "X")
"""States of a process that has ended."""
_PAUSE = 0.5
"""Seconds between two looks beyond which this process itself was stopped."""


@dataclass(slots=True)
class _SlowItem:
    """What is known of an item that takes long.

    Attributes:
        pid: The worker that it is on.
        delay: Seconds that its worker had waited for a processor when it was last looked at.
        cpu: CPU seconds of the worker and of each of its children then.
        excused: Seconds in which the worker was stopped or waited for a processor.
        stopped_since: When the worker was stopped; None while it is not.
        looked: When it was last looked at.
    """

    pid: int
    delay: float
    cpu: dict[int, float]
    looked: float
    excused: float = 0.0
    stopped_since: float | None = None


@dataclass(slots=True)
class _Tree:
    """A worker with its children at one moment: CPU seconds of each, and the memory of those that are no helpers."""

    cpu: dict[int, float] = field(default_factory=dict)
    counted: list[psutil.Process] = field(default_factory=list)
    resident: int = 0


class Watchdog:
    """Looks at every busy worker a few times per second."""

    def __init__(self, workers: Collection[WorkerProcess], take_back: Callable[[Sequence[Unit]], None]) -> None:
        self._workers = workers
        self._take_back = take_back
        self._seen: dict[Unit, _SlowItem] = {}
        self._idle_memory: dict[int, int] = {}
        self._looked = time.perf_counter()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._looked = time.perf_counter()
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._look)

    def stop(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()

    def worker_ready(self, worker: WorkerProcess) -> None:
        """Note how much memory a worker holds before its first item."""
        if worker.pid is not None:
            self._idle_memory[worker.pid] = _resident(worker.pid)

    def worker_dead(self, worker: WorkerProcess) -> None:
        """Forget a worker."""
        if worker.pid is not None:
            self._idle_memory.pop(worker.pid, None)

    def _look(self) -> None:
        try:
            self._look_at_all()
        finally:
            # Also after a failure, which the loop reports: without a watch a hung item would hang for ever.
            self.start()

    def _look_at_all(self) -> None:
        now = time.perf_counter()
        pause = now - self._looked - _TICK
        if pause > _PAUSE:
            for worker in self._workers:
                worker.last_progress += pause
        busy: set[Unit] = set()
        for worker in list(self._workers):
            if not worker.ready or worker.pid is None or now - worker.last_progress < _STUCK:
                continue
            unit = worker.current
            if unit is None:
                continue
            busy.add(unit)
            self._judge(worker, worker.pid, unit, now)
        for unit in self._seen.keys() - busy:
            del self._seen[unit]

    def _judge(self, worker: WorkerProcess, pid: int, unit: Unit, now: float) -> None:
        if state_of(pid) in _ENDED:
            return  # its owner is about to learn so, and why
        name, limits = unit.job.hosted.identity.name, unit.job.hosted.limits
        tree, delay = _tree(pid), _delay(pid)
        sight = self._seen.get(unit)
        if sight is None or sight.pid != pid:
            sight = self._seen[unit] = _SlowItem(pid, delay, tree.cpu, now)
        stopped = self._excuse(sight, pid, now, delay)
        age = now - worker.last_progress
        begun = next((chunk for chunk in worker.chunks if chunk.place(unit) >= 0), None)
        items = len(begun.units) if begun is not None and begun.together else 1
        if unit.settled and (begun is None or all(pending.settled for pending in begun.pending())):
            worker.kill(KillReason.ABANDONED)
        elif stopped > _STOPPED:
            _log.warning("a worker of %s has been stopped for %.0f s; it is replaced", name, stopped)
            worker.kill(KillReason.STOPPED)
        elif age - sight.excused > limits.wall_s or age > _HARD_CAP * limits.wall_s:
            _log.warning("%s did not move for %.0f s; its worker is replaced", name, age)
            worker.kill(KillReason.WALL)
        elif (
            sum(used - sight.cpu.get(process, 0.0) for process, used in tree.cpu.items())
            > items * unit.job.max_cpu_s * OVERRUN
        ):
            worker.kill(KillReason.CPU)
        elif limits.memory_bytes and self._over_memory(pid, tree, limits.memory_bytes):
            worker.kill(KillReason.MEMORY)
        elif not worker.stalled:
            worker.stalled = True
            self._take_back(worker.recall())

    @staticmethod
    def _excuse(sight: _SlowItem, pid: int, now: float, delay: float) -> float:
        """Note the time since the last look that is not the item's.

        A worker that can run and does not is short of a processor, also where the kernel counts no delay: in a group
        whose quota is used up, or on a machine that others share.

        Returns:
            Seconds for which the worker has been stopped without a break.
        """
        gap, sight.looked = now - sight.looked, now
        waited, sight.delay = max(0.0, delay - sight.delay), delay
        state = state_of(pid)
        if state not in ("T", "t"):
            sight.stopped_since = None
            sight.excused += gap if state == "R" else min(gap, waited)
            return 0.0
        if sight.stopped_since is None or gap > _PAUSE:
            sight.stopped_since = now
        else:
            sight.excused += gap
        return now - sight.stopped_since

    def _over_memory(self, pid: int, tree: _Tree, allowed: int) -> bool:
        """Whether worker and children hold more than the idle worker did and the bound together.

        The worker's own memory is bounded by the kernel, and so is each child's: it is their sum that is not.
        """
        bound = self._idle_memory.get(pid, 0) + allowed
        if len(tree.counted) < 2 or tree.resident <= bound:
            return False
        # Forked children share pages with the worker, which the plain sum counts more than once.
        return sum(map(_proportional, tree.counted)) > bound


def _delay(pid: int) -> float:
    """Seconds that a process has waited for a processor."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _tree(pid: int) -> _Tree:
    tree = _Tree()
    try:
        worker = psutil.Process(pid)
        processes = [worker, *worker.children(recursive=True)]
    except psutil.Error:
        return tree
    for process in processes:
        try:
            tree.cpu[process.pid] = float(sum(process.cpu_times()[: 4 if process is not worker else 2]))
            if process is worker or not is_helper(process.pid):
                tree.counted.append(process)
                tree.resident += process.memory_info().rss
        except psutil.Error:
            continue
    return tree


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    """Bytes of memory of a process, with its share of what it shares."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
