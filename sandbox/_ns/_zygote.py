"""The owner's view of a zygote and of the spares that it makes."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import socket
import subprocess
import time

from sandbox._errors import SandboxInternalError, SandboxUnavailableError
from sandbox._inside import _wire
from sandbox._ns._cgroup import Account, Group, Hierarchy
from sandbox._ns._ids import choose
from sandbox._ns._meter import Meter, ReaderClock, View
from sandbox._ns._packages import Interpreter
from sandbox._ns._remedies import remedy
from sandbox._types import Limits

_ANSWER_S = 30.0
_MAX_LEAVING = 4
MAX_SPARES = 2
"""Spares at once. One takes longer to make than a short run takes, so for a row of runs a second is begun."""
_LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_inside/__main__.py")
# All that a program finds in its environment. The fixed hash seed makes verdicts reproducible.
_ENVIRONMENT = {
    "HOME": "/tmp/box",  # noqa: S108 - a path behind the wall
    "LANG": "C.UTF-8",
    # Each further arena reserves 64 MiB of address space, so a few threads would exhaust a program's.
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": "/opt/packages",
}


def space(limits: Limits) -> tuple[int, int]:
    """What a run may store: bytes and number of files. Its process is made for it."""
    return limits.disk_bytes, limits.files


class Child:
    """A process behind the wall: a spare first, then a run."""

    def __init__(
        self,
        sock: socket.socket,
        pidfd: int,
        group: Account | None,
        clock: ReaderClock,
        others: frozenset[str] = frozenset(),
    ) -> None:
        self._clock = clock
        self._others = others
        self.sock = sock
        self.pidfd = pidfd
        self.group = group
        self._processes = -1
        self._released = False
        self.view = View()

    def wait_ready(self) -> int:
        """Wait until it is set up and return the descriptor of its own `/proc`.

        Raises:
            SandboxInternalError: It could not be set up.
        """
        if self._processes < 0:
            try:
                letter, payload, descriptors = _wire.receive_frame(self.sock)
            except (OSError, EOFError) as error:
                raise SandboxInternalError("spare", f"{type(error).__name__}: {error}") from error
            if letter != _wire.READY or len(descriptors) != 1:
                raise SandboxInternalError("spare", payload.replace(b"\0", b": ").decode("utf-8", "replace"))
            self._processes = descriptors[0]
            if payload:
                init, main = payload.decode().split()
                self.view = View(init, main, self._others)
        return self._processes

    def begin(self, memory_bytes: int) -> Meter:
        """Bound its memory as a whole, where that can be done, and start its clocks.

        Raises:
            SandboxInternalError: It could not be set up.
        """
        processes = self.wait_ready()
        if self.group is not None:
            self.group.begin(memory_bytes)
        return Meter(processes, self.group, self.view, self._clock)

    def kill(self) -> None:
        """End the run and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """End it if it still lives, wait until it is gone, and close the descriptors."""
        self.release()
        self.wait(_ANSWER_S)
        os.close(self.pidfd)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is gone; False if it is still there after that time."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def release(self) -> None:
        """End it if it still lives, and let go of all but what tells when it is gone."""
        if self._released:
            return
        self._released = True
        self.kill()
        self.sock.close()
        if self._processes >= 0:
            os.close(self._processes)
            self._processes = -1


class Zygote:
    """A launcher with its zygote and its spares: one at rest, `MAX_SPARES` within a row of runs."""

    def __init__(self, interpreter: Interpreter, preload: tuple[str, ...], hierarchy: Hierarchy | None) -> None:
        """Start both and wait until they are behind the wall.

        Raises:
            SandboxUnavailableError: A step of the isolation is refused here.
            SandboxInternalError: They could not be started for another reason.
        """
        self.runs = 0
        self.started = time.monotonic()
        self._groups: list[Group] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = 0
        self._clock = ReaderClock()
        self._requested: collections.deque[tuple[int, int]] = collections.deque()
        self._arrived: collections.deque[Child] = collections.deque()
        self._usual = space(Limits())
        self._leaving: collections.deque[Child] = collections.deque()
        self.uid = -1
        self.shares_user = True
        self._errors = os.memfd_create("launcher-errors", os.MFD_CLOEXEC)
        self._control, far = socket.socketpair()
        self._control.settimeout(_ANSWER_S)
        try:
            if hierarchy is not None:
                for _ in range(1 + MAX_SPARES):  # for the run in progress and for the spares
                    self._groups.append(Group(hierarchy))
            self._process = self._launch(interpreter.path, far)
            self.version, self.steps = self._greet(self._process, interpreter, preload)
        except BaseException:
            self.close()
            raise
        self.request_spares()

    def _launch(self, python: str, far: socket.socket) -> subprocess.Popen[bytes]:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            return subprocess.Popen(
                [python, "-S", _LAUNCHER, str(far.fileno())],
                stdin=null,
                stdout=null,
                stderr=self._errors,
                env={**_ENVIRONMENT, "ASSAY_HELPER": "1"},
                cwd="/",
                pass_fds=[far.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailableError(
                "interpreter", "Set SandboxConfig.python to a Python interpreter.", f"{python}: {error.strerror}"
            ) from error
        finally:
            os.close(null)
            far.close()

    def _greet(
        self, process: subprocess.Popen[bytes], interpreter: Interpreter, preload: tuple[str, ...]
    ) -> tuple[str, list[str]]:
        ids = choose((*interpreter.directories, *map(os.path.dirname, interpreter.packages.values())))
        spec = {
            "owner": os.getpid(),
            "uid": ids.uid,
            "gid": ids.gid,
            "own_uid": ids.own,
            "sub_uid": ids.sub_uid,
            "newuidmap": ids.newuidmap,
            "directories": list(interpreter.directories),
            "packages": dict(interpreter.packages),
            "hidden": list(interpreter.hidden),
            "preload": list(preload),
            "groups": [path for group in self._groups for path in group.paths],
            "turns": len(self._groups),
        }
        joins = [descriptor for group in self._groups for descriptor in group.joins]
        try:
            _wire.send_job(self._control, spec, joins)
            letter, payload, _ = _wire.receive_frame(self._control)
        except (OSError, EOFError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ANSWER_S)
            errors = os.pread(self._errors, 4000, 0).decode("utf-8", "replace").strip()
            raise SandboxInternalError("launcher", errors or str(error)) from error
        fields = payload.decode("utf-8", "replace").split("\0")
        if letter != _wire.READY:
            step, detail = fields[0], fields[-1]
            if step == _wire.ZYGOTE:  # behind the wall already: a package that cannot be imported, say
                raise SandboxInternalError(step, detail)
            raise SandboxUnavailableError(step, remedy(step), detail)
        self.shares_user = fields[1].encode() == _wire.SHARED_USER
        self.uid = ids.uid if self.shares_user or ids.sub_uid is None else ids.sub_uid
        return fields[0], fields[2:]

    def request_spares(self, ahead: int = 1) -> None:
        """Ask for spares until there are so many, without waiting for them; they are made for runs like the last."""
        self._request(self._usual, ahead)

    def _request(self, kind: tuple[int, int], ahead: int = 1) -> None:
        while len(self._requested) < ahead:
            try:
                _wire.send_request(self._control, *kind)
            except OSError:  # noticed by `take`
                return
            self._requested.append(kind)

    def drop_spares(self) -> None:
        """Let go of all spares but one: the row of runs is over."""
        while len(self._requested) > 1:
            with contextlib.suppress(SandboxInternalError):  # the next `take` will meet it
                self._collect().close()

    def take(self, kind: tuple[int, int], *, usual: bool = True) -> Child:
        """Return a spare that is ready.

        Args:
            kind: Bytes that it can store, and number of files.
            usual: Whether the next one will be wanted alike.

        Raises:
            SandboxInternalError: The zygote is gone or cannot make one.
        """
        if usual:
            self._usual = kind
        while self._requested and self._requested[0] != kind:
            self._collect().close()
        self._request(kind)
        child = self._collect()
        try:
            child.wait_ready()
        except SandboxInternalError:
            child.close()
            raise
        self.runs += 1
        return child

    def keep(self, product: int, size: int) -> int:
        """Have a compiler's product kept; returns a descriptor of the copy, which no program can change.

        Raises:
            SandboxInternalError: The zygote is gone or has no room for it.
        """
        while len(self._arrived) < len(self._requested):  # their answers come first
            self._arrived.append(self._receive_spare())
        try:
            _wire.send_request(self._control, size, 0, (product,))
            letter, payload, descriptors = _wire.receive_frame(self._control)
        except (OSError, EOFError) as error:
            raise SandboxInternalError("artefact", f"{type(error).__name__}: {error}") from error
        if letter != _wire.KEPT or len(descriptors) != 1:
            raise SandboxInternalError("artefact", payload.replace(b"\0", b": ").decode("utf-8", "replace"))
        return descriptors[0]

    def _collect(self) -> Child:
        if not self._requested:
            raise SandboxInternalError("zygote", "it takes no requests")
        self._requested.popleft()
        return self._arrived.popleft() if self._arrived else self._receive_spare()

    def _receive_spare(self) -> Child:
        try:
            letter, payload, descriptors = _wire.receive_frame(self._control)
        except (OSError, EOFError) as error:
            raise SandboxInternalError("zygote", f"{type(error).__name__}: {error}") from error
        if letter != _wire.SPARE or len(descriptors) != 2:
            raise SandboxInternalError("zygote", payload.replace(b"\0", b": ").decode("utf-8", "replace"))
        group = self._groups[self._turn % len(self._groups)] if self._groups else None
        self._turn += 1
        sock = socket.socket(fileno=descriptors[0])
        sock.settimeout(_ANSWER_S)
        return Child(sock, descriptors[1], group, self._clock)

    def reclaim(self, child: Child) -> None:
        """Take back a child whose run has ended; the kernel takes its init down meanwhile."""
        child.release()
        self._leaving.append(child)
        self._reap(_MAX_LEAVING)

    def _reap(self, most: int) -> None:
        """Let go of the oldest that are gone, and wait for them until no more than so many are left."""
        while self._leaving and (len(self._leaving) > most or self._leaving[0].wait(0)):
            self._leaving.popleft().close()

    def close(self) -> None:
        """End all of it and wait until nothing is left."""
        self._reap(0)
        while self._requested:
            with contextlib.suppress(SandboxInternalError):  # then there is none to be closed
                self._collect().close()
        self._control.close()
        self._clock.close()
        os.close(self._errors)
        if self._process is not None:
            try:
                self._process.wait(_ANSWER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for group in self._groups:
            group.close()
            group.remove()
        self._groups = []
