"""What the host does to servers: a clock that jumps, a disk that is full, a control group without memory.

Each needs something of the host, and says so where it is not to be had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

_DISK_BYTES = 32 << 20
_GROUPS = Path("/sys/fs/cgroup/memory")
_GROUP_BYTES = 512 << 10


class Clock:
    """The time of day of processes that were started with `environment`, shifted by so many seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._file.write_bytes(struct.pack("@l", 0))
        self.refused = ""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            self.refused = "there is no compiler"
            return
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", self._library, source], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with."""
        if self.refused:
            return {}
        return {"LD_PRELOAD": str(self._library), "ASSAY_CHAOS_CLOCK": str(self._file)}

    def shift(self, seconds: int) -> None:
        """Shift it."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("@l", seconds))


class Disk:
    """A small file system for what servers write; filled at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(self.folder)]
        done = subprocess.run(line, capture_output=True, text=True)
        self.refused = done.stderr.strip()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Full for the length of a block."""
        ballast = self.folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 << 10))
        try:
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """Unmount it."""
        if not self.refused:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


class Group:
    """A control group in which the next memory that is asked for ends in the kernel's killer."""

    def __init__(self) -> None:
        self._folder = _GROUPS / f"assay-chaos-{os.getpid()}"
        self.refused = ""
        try:
            self._folder.mkdir()
            (self._folder / "memory.limit_in_bytes").write_text(str(_GROUP_BYTES))
        except OSError as error:
            self.refused = f"no control group for memory: {error}"

    def take(self, pid: int) -> None:
        """Put a process into it."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove it, once nothing is in it."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()
