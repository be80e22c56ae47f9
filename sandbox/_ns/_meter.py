"""How much of a run's limits is used: CPU time of its processes, and wall time without waiting for a processor."""

from __future__ import annotations

import os
import time

from sandbox._ns._cgroup import Group

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_INIT = "1"
_MAIN = "2"


class Meter:
    """Measures one run from its start.

    The processes are read from a descriptor of the run's own `/proc`, so that only they are seen. CPU time comes from
    the run's cgroup where there is one, which also counts children that nobody waited for.
    """

    def __init__(self, processes: int, group: Group | None) -> None:
        self._processes = processes
        self._group = group if group is not None and group.has_clock else None
        self._base = 0.0
        self._started = time.monotonic()
        self._last = self._started
        self._waits: dict[str, float] = {}
        self._waited = 0.0
        self._cpu = 0.0

    @property
    def elapsed_s(self) -> float:
        """Time since the start as a clock on the wall shows it."""
        return time.monotonic() - self._started

    @property
    def wall_s(self) -> float:
        """Elapsed time less the time known to be spent waiting for a processor."""
        return self.elapsed_s - self._waited

    @property
    def cpu_s(self) -> float:
        """CPU time as last sampled."""
        return self._cpu

    def set_base(self) -> None:
        """Leave out of account what the program's process used up to now."""
        fields = self._read(f"{_MAIN}/schedstat").split()
        self._base = int(fields[0]) / 1e9 if fields else 0.0

    def sample(self) -> None:
        """Read the clocks."""
        now = time.monotonic()
        cpu, waits = self._sample_processes()
        cpu -= self._base
        if self._group is not None:
            cpu = self._group.cpu_s()
        self._cpu = max(self._cpu, cpu)
        waited = sum(max(0.0, wait - self._waits.get(task, 0.0)) for task, wait in waits.items())
        # Several tasks that wait at once hold the run up no longer than the interval itself.
        self._waited += min(now - self._last, waited)
        self._waits = waits
        self._last = now

    def final_cpu(self, reaped_s: float) -> float:
        """CPU time of a run that has ended.

        Args:
            reaped_s: What the init counted while it reaped, 0 if it could not tell.
        """
        counted = self._group.cpu_s() if self._group is not None else reaped_s - self._base
        return max(self._cpu, counted)

    def _sample_processes(self) -> tuple[float, dict[str, float]]:
        """CPU seconds of all processes and run-queue delay per task."""
        cpu = 0.0
        waits: dict[str, float] = {}
        for pid in self._listdir("."):
            if not pid.isdigit():
                continue
            stat = self._read(f"{pid}/stat").rpartition(b")")[2].split()
            if len(stat) < 15:
                continue
            if pid == _INIT:
                cpu += (int(stat[13]) + int(stat[14])) * _TICK_S
                continue
            precise = 0.0
            for task in self._listdir(f"{pid}/task"):
                fields = self._read(f"{pid}/task/{task}/schedstat").split()
                if len(fields) >= 2:
                    precise += int(fields[0]) / 1e9
                    waits[task] = int(fields[1]) / 1e9
            own, children = (int(stat[i]) + int(stat[i + 1]) for i in (11, 13))
            # The first counts threads that have ended, the second is exact for those that live.
            cpu += max(own * _TICK_S, precise) + children * _TICK_S
        return cpu, waits

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
