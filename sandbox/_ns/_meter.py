"""How much of a run's limits is used: CPU time of its processes, and wall time without waiting for a processor."""

from __future__ import annotations

import math
import os
import select
import threading
import time
from typing import NamedTuple

from sandbox._ns._cgroup import Account

HARD_CAP = 10.0
"""A run ends after this many times its wall limit, whatever it waited for."""
_LONGEST_WAIT_S = 0.25
"""A stall of the host within a wait that has not passed yet is not seen."""
_STALL_S = 0.25
"""One who watches a run and wakes up so much later than asked has stood still, and the run with it."""
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_OWN_SCHEDSTAT = "/proc/thread-self/schedstat"


class ReaderClock:
    """How long the thread that reads what programs write has waited for a processor.

    Its file stays open: to find it takes a good part of what a short run costs its owner.
    """

    def __init__(self) -> None:
        self._thread = 0
        self._descriptor = -1

    def read(self) -> float:
        """Seconds so far, of the thread that asks; 0 where the kernel does not say."""
        thread = threading.get_native_id()
        try:
            if thread != self._thread:
                self.close()
                self._descriptor = os.open(_OWN_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
                self._thread = thread
            return int(os.pread(self._descriptor, 256, 0).split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._thread = -1, 0


class View(NamedTuple):
    """Who is who in the `/proc` that a run is read from.

    Attributes:
        init: Process id of its init.
        main: Process id of its program.
        others: Processes that are none of its.
    """

    init: str = "1"
    main: str = "2"
    others: frozenset[str] = frozenset()


class _Task(NamedTuple):
    """What the kernel says of one task, in seconds."""

    cpu: float
    delay: float


class Meter:
    """Measures one run from its start.

    The processes are read from a descriptor of the run's own `/proc`, so that only they are seen. CPU time comes from
    the run's cgroup where there is one, which also counts children that no process waited for.

    The only evidence for a starving host is what the kernel counts of the run's own tasks, and a program can have
    its tasks wait for each other. So the wall clock is excused by what one task waited *less the processor time of
    all the others*: what remains was taken by processes that are not the run's. `least_wall_s` counts every wait;
    between the two clocks it is not certain who is to blame.

    A host that stands still as a whole, such as a virtual machine that is moved, shows nothing in that account. It is
    seen by the one who watches: both clocks leave out how much later than asked that thread woke up.
    """

    def __init__(self, processes: int, group: Account | None, view: View, clock: ReaderClock) -> None:
        self._clock = clock
        self._processes = processes
        self._view = view
        self._group = group if group is not None and group.has_clock else None
        self._started = time.monotonic()
        self._last = self._started
        main = self._schedstat(f"{view.main}/schedstat")
        self._tasks = {view.main: main} if main else {}
        self._base = main.cpu if main else 0.0
        self._counts_delays = main is not None
        self._reader = clock.read()
        self._reader_was_late = False
        self._excused = 0.0
        self._waited = 0.0
        self._stall = 0.0
        self._stalled = 0.0
        self._cpu = 0.0
        self._cpu_seen = 0.0

    @property
    def elapsed_s(self) -> float:
        """Time since the start as a clock on the wall shows it."""
        return time.monotonic() - self._started

    @property
    def wall_s(self) -> float:
        """Elapsed time less the time that other processes of the host are known to have taken."""
        return self.elapsed_s - self._excused

    @property
    def least_wall_s(self) -> float:
        """Elapsed time less all time in which a task of the run waited for a processor."""
        return self.elapsed_s - self._waited

    @property
    def stalled_s(self) -> float:
        """Time in which the host stood still, as far as it was seen."""
        return self._stalled

    @property
    def cpu_s(self) -> float:
        """CPU time as last sampled."""
        return self._cpu

    def wall_limit_reached(self, wall_s: float, wall_factor: float) -> bool:
        """Whether a run has to be ended.

        Args:
            wall_s: Its limit.
            wall_factor: How many times slower the host is known to be.
        """
        elapsed = self.elapsed_s
        return (self.wall_s > wall_s and elapsed > wall_factor * wall_s) or elapsed > HARD_CAP * wall_s

    def doubts(self, wall_s: float) -> bool:
        """Whether a run that its wall limit ended may have been kept waiting by the host instead."""
        return not self._counts_delays or self.wall_s <= wall_s or self.least_wall_s <= wall_s

    def wait(self, poll: select.poll, seconds: float) -> list[tuple[int, int]]:
        """Wait for events, not always as long as asked; stalls of the host are noted."""
        allowed = min(max(0.0, seconds), _LONGEST_WAIT_S)
        began = time.monotonic()
        events = poll.poll(math.ceil(allowed * 1000))
        passed = time.monotonic() - began
        if passed > allowed + _STALL_S:
            # When within the wait it began is not known.
            self._stall += passed
            self._stalled += passed
        return events

    def note_full_pipe(self) -> None:
        """The program had filled a pipe when it was read, so it may have waited for the one who reads."""
        self._reader_was_late = True

    def sample(self) -> None:
        """Read the clocks."""
        now = time.monotonic()
        passed = now - self._last
        cpu, tasks = self._sample_processes()
        cpu -= self._base
        if self._group is not None:
            cpu = self._group.cpu_s()
        self._cpu = max(self._cpu, cpu)
        used = self._cpu - self._cpu_seen
        reader = self._clock.read()
        late = reader - self._reader if self._reader_was_late else 0.0
        by_others, total = max(self._stall, late - used), max(self._stall, late)
        for name, task in tasks.items():
            before = self._tasks.get(name, _Task(0.0, 0.0))
            delay = max(0.0, task.delay - before.delay)
            total += delay
            by_others = max(by_others, delay - max(0.0, used - max(0.0, task.cpu - before.cpu)))
        # Several tasks that wait at once hold the run up no longer than the interval itself.
        self._excused += min(passed, max(0.0, by_others))
        self._waited += min(passed, total)
        self._tasks, self._last, self._cpu_seen = tasks, now, self._cpu
        self._reader, self._reader_was_late, self._stall = reader, False, 0.0

    def final_cpu(self, reaped_s: float) -> float:
        """CPU time of a run that has ended.

        Args:
            reaped_s: What the init counted while it reaped, 0 if it could not tell.
        """
        counted = self._group.cpu_s() if self._group is not None else reaped_s - self._base
        return max(self._cpu, counted)

    def _sample_processes(self) -> tuple[float, dict[str, _Task]]:
        """CPU seconds of all processes, and each task."""
        cpu = 0.0
        tasks: dict[str, _Task] = {}
        for pid in self._listdir("."):
            if not pid.isdigit() or pid in self._view.others:
                continue
            stat = self._read(f"{pid}/stat").rpartition(b")")[2].split()
            if len(stat) < 15:
                continue
            if pid == self._view.init:
                cpu += (int(stat[13]) + int(stat[14])) * _TICK_S
                continue
            precise = 0.0
            for name in self._listdir(f"{pid}/task"):
                task = self._schedstat(f"{pid}/task/{name}/schedstat")
                if task is not None:
                    precise += task.cpu
                    tasks[name] = task
            own, children = (int(stat[i]) + int(stat[i + 1]) for i in (11, 13))
            # The first counts threads that have ended, the second is exact for those that live.
            cpu += max(own * _TICK_S, precise) + children * _TICK_S
        return cpu, tasks

    def _schedstat(self, path: str) -> _Task | None:
        fields = self._read(path).split()
        return _Task(int(fields[0]) / 1e9, int(fields[1]) / 1e9) if len(fields) >= 2 else None

    def _listdir(self, path: str) -> list[str]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._processes)
        except OSError:  # the process has ended meanwhile
            return []
        try:
            return os.listdir(descriptor)
        except OSError:
            return []
        finally:
            os.close(descriptor)

    def _read(self, path: str) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
        except OSError:
            return b""
        try:
            return os.read(descriptor, 4096)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
