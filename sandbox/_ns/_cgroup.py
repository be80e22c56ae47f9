"""Memory and CPU accounting of whole runs by control groups, where one of the two kinds is delegated to us."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from typing import Protocol

_names = itertools.count()
_MARGIN_BYTES = 32 << 20
"""What a run may take beyond its limit: the interpreter's own pages and the kernel's records of the run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made.

    Attributes:
        kind: `cgroup_v1` or `cgroup_v2`.
        memory: Directory under which groups with a memory limit are made.
        cpu: Directory under which groups with a CPU clock are made; the same in version 2, None if there is none.
    """

    kind: str
    memory: str
    cpu: str | None


class Account(Protocol):
    """What counts and bounds the memory of a run, and its time if it can."""

    @property
    def has_clock(self) -> bool:
        """Whether `cpu_s` can be asked."""

    def begin(self, memory_bytes: int) -> None:
        """Bound the run that starts now and set the counters to zero."""

    def cpu_s(self) -> float:
        """CPU time since `begin`."""

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process since `begin` because the memory limit was reached."""

    def peak_bytes(self) -> int | None:
        """Largest memory since `begin`; None where it cannot be told."""


class Group:
    """The control group of one run at a time.

    Attributes:
        paths: Its directories, for the one who removes them.
        joins: Descriptors through which a process moves itself into the group by writing `0`.
    """

    def __init__(self, hierarchy: Hierarchy) -> None:
        """Make the directories.

        Raises:
            OSError: The hierarchy is not delegated after all.
        """
        name = f"{_prefix()}{os.getpid()}-{next(_names)}"
        self._v2 = hierarchy.kind == "cgroup_v2"
        self._memory = f"{hierarchy.memory}/{name}"
        self._cpu = f"{hierarchy.cpu}/{name}" if hierarchy.cpu else None
        self._limit = 0
        self._resettable = True
        self._memory_base = 0
        self._cpu_base = 0.0
        self._kills_base = 0
        self.paths = list(dict.fromkeys(path for path in (self._memory, self._cpu) if path))
        self.joins: list[int] = []
        self._files: list[int] = []
        try:
            for path in self.paths:
                _make(path)
                self.joins.append(os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            self._peak = self._open("memory.peak" if self._v2 else "memory.max_usage_in_bytes", write=True)
            self._usage = self._open("memory.current" if self._v2 else "memory.usage_in_bytes")
            self._events = self._open("memory.events" if self._v2 else "memory.oom_control")
            self._clock = self._open_clock()
            self._set_limit(1 << 30)
        except OSError:
            self.close()
            self.remove()
            raise

    def _open(self, name: str, *, write: bool = False) -> int:
        flags = os.O_RDWR if write else os.O_RDONLY
        try:
            descriptor = os.open(f"{self._memory}/{name}", flags | os.O_CLOEXEC)
        except PermissionError:  # memory.peak can be reset from Linux 6.12 on only
            descriptor = os.open(f"{self._memory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self._files.append(descriptor)
        return descriptor

    def _open_clock(self) -> int | None:
        if self._cpu is None:
            return None
        name = "cpu.stat" if self._v2 else "cpuacct.usage"
        descriptor = os.open(f"{self._cpu}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self._files.append(descriptor)
        return descriptor

    @property
    def has_clock(self) -> bool:
        """Whether `cpu_s` can be asked."""
        return self._clock is not None

    def begin(self, memory_bytes: int) -> None:
        """Bound the run that starts now and set the counters to zero."""
        self._set_limit(memory_bytes + _MARGIN_BYTES)
        try:
            os.pwrite(self._peak, b"0", 0)
        except OSError:
            self._resettable = False
        self._memory_base = int(os.pread(self._usage, 64, 0))
        self._cpu_base = self._read_clock()
        self._kills_base = self._read_kills()

    def _set_limit(self, limit: int) -> None:
        if limit == self._limit:
            return
        if self._v2:
            self._write("memory.max", limit)
            if os.path.exists(f"{self._memory}/memory.swap.max"):
                self._write("memory.swap.max", 0)
        else:
            names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
            if not os.path.exists(f"{self._memory}/{names[1]}"):
                names.pop()
            # The sum with swap may never be below the limit without.
            for name in reversed(names) if limit > self._limit and self._limit else names:
                self._write(name, limit)
        self._limit = limit

    def _write(self, name: str, value: int) -> None:
        with open(f"{self._memory}/{name}", "w") as file:
            file.write(str(value))

    def _read_clock(self) -> float:
        if self._clock is None:
            return 0.0
        text = os.pread(self._clock, 4096, 0)
        if self._v2:
            return int(text.split(b"usage_usec", 1)[1].split(None, 1)[0]) / 1e6
        return int(text) / 1e9

    def _read_kills(self) -> int:
        for line in os.pread(self._events, 4096, 0).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
        return 0

    def cpu_s(self) -> float:
        """CPU time since `begin`."""
        return self._read_clock() - self._cpu_base

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process since `begin` because the memory limit was reached."""
        return self._read_kills() > self._kills_base

    def peak_bytes(self) -> int | None:
        """Largest memory since `begin` beyond what was in use then; None where the kernel cannot tell."""
        if not self._resettable:
            return None
        return max(0, int(os.pread(self._peak, 64, 0)) - self._memory_base)

    def close(self) -> None:
        """Close the descriptors; the directories stay until `remove`."""
        for descriptor in (*self._files, *self.joins):
            os.close(descriptor)
        self._files = []
        self.joins = []

    def remove(self) -> None:
        """Remove the directories if they are empty."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                os.rmdir(path)


def find(parent: str | None = None) -> Hierarchy | None:
    """Find a place where memory groups can be made: version 2 first, then version 1.

    Args:
        parent: Directory of a delegated version 2 group to use instead of the one that this process is in.
    """
    for hierarchy in (_find_v2(parent), _find_v1()):
        if hierarchy is not None and _works(hierarchy):
            sweep(hierarchy)
            return hierarchy
    return None


def _make(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:  # left by a process of the same number whose launcher was killed as well
        os.rmdir(path)
        os.mkdir(path)


def _prefix() -> str:
    """Start of the names of our groups. Process numbers mean nothing in another pid namespace, so it is named."""
    return f"assay-{os.stat('/proc/self/ns/pid').st_ino}-"


def sweep(hierarchy: Hierarchy) -> None:
    """Remove what is left of owners that were killed together with their launchers."""
    prefix = _prefix()
    for parent in {hierarchy.memory, hierarchy.cpu or hierarchy.memory}:
        for name in os.listdir(parent):
            pid = name.removeprefix(prefix).partition("-")[0]
            if name.startswith(prefix) and not os.path.exists(f"/proc/{pid}"):
                with contextlib.suppress(OSError):  # its last processes are on their way out
                    os.rmdir(f"{parent}/{name}")


def _works(hierarchy: Hierarchy) -> bool:
    try:
        group = Group(hierarchy)
    except OSError:
        return False
    group.close()
    group.remove()
    return True


def _own_directory(kind: str, controller: str | None) -> str | None:
    """Directory of the group that this process is in, as mounted here."""
    try:
        with open("/proc/self/cgroup") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mountinfo") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return None
    for fields in mounts:
        mount_fields = fields[fields.index("-") + 1 :]
        if mount_fields[0] != kind or (controller and controller not in mount_fields[2].split(",")):
            continue
        for _, controllers, path in groups:
            if (controller in controllers.split(",")) if controller else not controllers:
                inner = path.removeprefix(fields[3]) if fields[3] != "/" else path
                directory = os.path.normpath(f"{fields[4]}/{inner}")
                return directory if os.path.isdir(directory) else fields[4]
    return None


def _find_v2(parent: str | None) -> Hierarchy | None:
    own = _own_directory("cgroup2", None)
    candidates = [parent] if parent else [own, os.path.dirname(own)] if own else []
    for directory in candidates:
        if _enable_memory(directory):
            return Hierarchy("cgroup_v2", directory, directory)
    return None


def _enable_memory(directory: str) -> bool:
    path = f"{directory}/cgroup.subtree_control"
    try:
        with open(path) as file:
            if "memory" in file.read().split():
                return True
        with open(path, "w") as file:
            file.write("+memory")
    except OSError:
        return False
    return True


def _find_v1() -> Hierarchy | None:
    memory = _own_directory("cgroup", "memory")
    return Hierarchy("cgroup_v1", memory, _own_directory("cgroup", "cpuacct")) if memory else None
