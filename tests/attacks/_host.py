"""What is measured on the host: before and after a case, and while it runs."""

from __future__ import annotations

import dataclasses
import glob
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path

_PERIOD_S = 0.02
_AT_REST = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def descendants(pid: int, without: Collection[int] = ()) -> list[int]:
    """All processes below one, the dead that were never waited for included.

    Args:
        pid: The process.
        without: Processes that are left out, with all below them.
    """
    found: list[int] = []
    for task in _names(f"/proc/{pid}/task"):
        for child in map(int, _text(f"/proc/{pid}/task/{task}/children").split()):
            if child not in without:
                found += [child, *descendants(child, without)]
    return found


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that must be the same before and after."""

    processes: int
    mounts: int
    cgroups: int
    descriptors: int
    shared_memory: tuple[str, ...]
    sysv: int
    left_files: tuple[str, ...]
    core_files: tuple[str, ...]

    @classmethod
    def take(cls, uids: frozenset[int]) -> Snapshot:
        """Measure now.

        Args:
            uids: Host user ids under which programs run.
        """
        own = os.getpid()
        groups = glob.glob(f"/sys/fs/cgroup/**/assay-*-{own}-*", recursive=True)
        places = ("/tmp", "/var/tmp", "/run", "/dev/shm")
        entries = [entry for place in places for entry in _scan(place)]
        left = [entry.path for entry in entries if _owner(entry) in uids - {os.geteuid()}]
        return cls(
            processes=len(descendants(own)),
            mounts=_text("/proc/self/mountinfo").count("\n"),
            cgroups=len(groups),
            descriptors=sum(map(_counts, _names("/proc/self/fd"))),
            shared_memory=tuple(sorted(entry.path for entry in _scan("/dev/shm") if _owner(entry) in uids)),
            sysv=_text("/proc/sysvipc/shm").count("\n"),
            left_files=tuple(sorted(left)),
            core_files=tuple(sorted(glob.glob("/core*") + glob.glob("core*") + glob.glob("/tmp/core*"))),
        )

    def difference(self, other: Snapshot) -> str:
        """What differs, in words; empty if nothing."""
        texts = []
        for field in dataclasses.fields(self):
            before, after = getattr(self, field.name), getattr(other, field.name)
            # Fewer of what is counted is nothing that was left: the host unmounts, too.
            if after > before if isinstance(before, int) else before != after:
                texts.append(f"{field.name} {before} -> {after}")
        return ", ".join(texts)


def _counts(descriptor: str) -> bool:
    """Handles of processes that are just going are not what is left."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") != "anon_inode:[pidfd]"
    except OSError:  # the one that lists
        return False


def _scan(place: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError:
        return []


def _owner(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_uid
    except OSError:
        return -1


def stable(uids: frozenset[int]) -> Snapshot:
    """Wait until what was started before has come to rest, and measure.

    A slot makes its next process in the background, late if the host is busy, so the largest count of a while holds.
    """
    last, rest, most = Snapshot.take(uids), 0, 0
    while rest < _AT_REST:
        time.sleep(_PERIOD_S)
        now = Snapshot.take(uids)
        rest = rest + 1 if now == last else 0
        most = max(most, now.processes)
        last = now
    return dataclasses.replace(last, processes=most)


def settled(before: Snapshot, uids: frozenset[int], within_s: float) -> str:
    """Wait until the host is as it was; what still differs then, in words."""
    deadline = time.monotonic() + within_s
    while True:
        difference = before.difference(Snapshot.take(uids))
        if not difference or time.monotonic() > deadline:
            return difference
        time.sleep(0.02)


class Sampler(threading.Thread):
    """Watches the processes below this one while a case runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.memory_bytes = 0
        self.stored_bytes = 0
        self.cpu_s = 0.0
        self.processes = 0
        self.own_bytes = self.own_start = _resident("/proc/self/statm")
        self.own_cpu_s = -time.process_time()
        self._cpu_base = self._cpu(descendants(os.getpid()))
        self._memory_base = self._memory(descendants(os.getpid()))
        self._stop_event = threading.Event()
        self._sampling_s = 0.0

    def run(self) -> None:
        while not self._stop_event.wait(_PERIOD_S):
            self._sample()
        self._sampling_s = time.thread_time()

    def _sample(self) -> None:
        pids = descendants(os.getpid())
        self.processes = max(self.processes, len(pids))
        self.memory_bytes = max(self.memory_bytes, self._memory(pids) - self._memory_base)
        self.cpu_s = max(self.cpu_s, self._cpu(pids) - self._cpu_base)
        self.own_bytes = max(self.own_bytes, _resident("/proc/self/statm"))
        for pid in pids:
            try:
                os.stat(f"/proc/{pid}/root/tmp/box")  # only a run has one
                space = os.statvfs(f"/proc/{pid}/root/tmp")
            except OSError:
                continue
            self.stored_bytes = max(self.stored_bytes, (space.f_blocks - space.f_bfree) * space.f_frsize)

    @staticmethod
    def _memory(pids: list[int]) -> int:
        """Memory of their own: what several share is counted once."""
        total = 0
        for pid in pids:
            for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
        return total

    @staticmethod
    def _cpu(pids: list[int]) -> float:
        ticks = 0
        for pid in pids:
            fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
            if len(fields) > 14:
                ticks += sum(map(int, fields[11:13]))
        return ticks * _TICK_S

    def stop(self) -> None:
        """End sampling and take the last values."""
        self._stop_event.set()
        self.join()
        self.own_bytes = max(self.own_bytes, _resident("/proc/self/statm"))
        # Who measures is no part of the service, and takes as much as small runs do.
        self.own_cpu_s += time.process_time() - self._sampling_s


def _resident(path: str) -> int:
    fields = _text(path).split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


class Written:
    """What this service writes to its terminal and its log while it runs programs.

    From now on both go to a file, and to where standard error went before when it is closed.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("written")
        self._error = os.dup(2)
        self._seen = 0
        for descriptor in (1, 2):
            os.dup2(self._file, descriptor)

    def complaint(self) -> str:
        """What was written since the last call and would act on a terminal, in words; empty if nothing."""
        size = os.fstat(self._file).st_size
        text = os.pread(self._file, size - self._seen, self._seen)
        self._seen = size
        acting = bytes(sorted({byte for byte in text if (byte < 0x20 and byte not in b"\t\n") or byte == 0x7F}))
        return f"the service wrote control characters {acting!r}" if acting else ""

    def close(self) -> None:
        """Give back the descriptors and show what was written."""
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        for descriptor in (1, 2):
            os.dup2(self._error, descriptor)
        os.close(self._file)
        while text:
            text = text[os.write(self._error, text) :]
        os.close(self._error)
