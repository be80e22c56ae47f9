"""The manager of a container: `python -S -m sandbox._docker._manager DESCRIPTOR USER`, a socket to the forker.

It drives runs as the owner of an `ns` slot does, and answers the real owner over its standard input and output.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from sandbox._docker import _message, _plain
from sandbox._errors import SandboxError, SandboxInternalError, SandboxUnavailableError
from sandbox._inside import _wire
from sandbox._languages import TABLE, look_up
from sandbox._ns._jobs import Artefact
from sandbox._ns._meter import HARD_CAP, ReaderClock
from sandbox._ns._probe import WORK
from sandbox._ns._slot import NsSandbox
from sandbox._ns._zygote import Child, Zygote, space
from sandbox._types import CompileFailure, Limits, Prepared, Program, RunResult, SandboxConfig, Session

_T = TypeVar("_T")
_KILLS = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
_READ_BYTES = 1 << 20
_FOREVER = 1 << 60
_UNBOUNDED_S = 1e6  # gVisor overflows where a limit in nanoseconds does not fit into 64 bits
_DELAYS = "/proc/thread-self/schedstat"


class _Memory:
    """What the container's group says of its memory. The engine sets the limit."""

    has_clock = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._base = 0

    def begin(self, memory_bytes: int) -> None:
        """See `Account.begin`."""
        self._base = self._kills()

    def cpu_s(self) -> float:
        """See `Account.cpu_s`."""
        return 0.0

    def killed_for_memory(self) -> bool:
        """See `Account.killed_for_memory`."""
        return self._kills() > self._base

    def peak_bytes(self) -> int | None:
        """See `Account.peak_bytes`."""
        return None

    def _kills(self) -> int:
        with open(self._path) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))


class _Child(Child):
    """A run in the container. What tells of its end is a pipe that its init holds."""

    def __init__(
        self, sock: socket.socket, alive: int, memory: _Memory | None, clock: ReaderClock, end: Callable[[], None]
    ) -> None:
        super().__init__(sock, alive, memory, clock, frozenset({"1", str(os.getpid())}))
        self._end = end

    def kill(self) -> None:
        """End the run and everything that it started."""
        if not self.wait(0):
            self._end()


class _Forker(Zygote):
    """The manager's view of the forker, which makes no process before it is wanted."""

    def __init__(self, control: socket.socket) -> None:
        """Take its report.

        Raises:
            SandboxUnavailableError: A step of the isolation is refused here.
        """
        self.runs = 0
        self.started = time.monotonic()
        self.uid = -1
        self.shares_user = False
        self._control = control
        self._requested: deque[tuple[int, int]] = deque()
        self._arrived: deque[Child] = deque()
        self._usual = space(Limits())
        self._leaving: deque[Child] = deque()
        self._clock = ReaderClock()
        path = next(filter(os.path.exists, _KILLS), None)
        self.memory = _Memory(path) if path else None
        letter, payload, _ = _wire.receive_frame(control)
        fields = payload.decode("utf-8", "replace").split("\0")
        if letter != _wire.READY:
            raise SandboxUnavailableError(fields[0], "Look at the step named.", fields[-1])
        self.version, self.steps = fields[0], fields[2:]

    def request_spares(self, ahead: int = 1) -> None:
        """See `Zygote.request_spares`: there are none."""

    def _receive_spare(self) -> Child:
        try:
            letter, payload, descriptors = _wire.receive_frame(self._control)
        except (OSError, EOFError) as error:
            raise SandboxInternalError("forker", f"{type(error).__name__}: {error}") from error
        if letter != _wire.SPARE or len(descriptors) != 2:
            raise SandboxInternalError("forker", payload.replace(b"\0", b": ").decode("utf-8", "replace"))
        return _Child(
            socket.socket(fileno=descriptors[0]), descriptors[1], self.memory, self._clock, self._end_programs
        )

    def _end_programs(self) -> None:
        with contextlib.suppress(OSError):  # then the container ends as a whole
            _wire.send_request(self._control, 0, 0)

    def close(self) -> None:
        """Have the container end."""
        self._clock.close()
        self._control.close()


class InnerSlot(NsSandbox):
    """A slot within a container. It is thrown away as a whole when something of it fails."""

    def __init__(self, config: SandboxConfig, control: socket.socket) -> None:
        """Take over the forker.

        Raises:
            SandboxUnavailableError: A step of the isolation is refused here.
        """
        self._control = control
        self.work_s = 0.0
        self.counts_cpu = os.path.exists(_DELAYS)
        """Whether processor time can be read. gVisor, which has no such file, counts waiting as computing."""
        if not self.counts_cpu:
            self._probe_program = WORK
        super().__init__(config)

    def _slowness_by(self, probe: RunResult) -> float:
        if self.counts_cpu:
            return super()._slowness_by(probe)
        return max(1.0, float(probe.stdout) / self.work_s) if probe.ok else HARD_CAP

    @property
    def counts_memory(self) -> bool:
        """Whether the container says when its memory was used up."""
        return any(map(os.path.exists, _KILLS))

    def _start_zygote(self, preload: str) -> Zygote:
        return _Forker(self._control)

    def _zygote_for(self, preload: str) -> Zygote:
        return super()._zygote_for("")  # sets of packages are imported by the programs themselves

    def _retried(self, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except OSError as error:
            raise SandboxInternalError("container", str(error)) from error

    def export(self, prepared: Prepared) -> dict[str, Any]:
        """What was made of a program, for another container."""
        program = self._artefact(prepared)
        binary = os.pread(program.binary, os.fstat(program.binary).st_size, 0) if program.binary >= 0 else b""
        return {"code": program.code, "binary": binary, "text": program.text}

    def adopt(self, program: Program, made: dict[str, Any], runs: int) -> Prepared:
        """Take what another container has made of a program."""
        row, tool = TABLE[program.language], look_up(program.language)[1]
        artefact = Artefact(program, row, tool, code=made["code"], text=made["text"], runs=runs)
        with self._in_use():
            if made["binary"]:
                file = os.memfd_create("product", os.MFD_CLOEXEC)
                with os.fdopen(file, "wb", closefd=True) as copy:
                    copy.write(made["binary"])
                    copy.flush()
                    artefact.binary = self._zygote_for("").keep(file, len(made["binary"]))
            self._next_key += 1
            self._artefacts[self._next_key] = artefact
            return Prepared(program, self._next_key)


class _Manager:
    """Answers requests one after the other."""

    def __init__(self, box: InnerSlot) -> None:
        self._box = box
        self._prepared: dict[int, Prepared] = {}
        self._session: Session | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; what fails is an answer as well."""
        try:
            action: Callable[..., dict[str, Any]] = getattr(self, f"do_{request.pop('do')}")
            return action(**request)
        except (SandboxError, EOFError, TimeoutError, ValueError, OSError) as error:
            return _plain.error_fields(error)

    def _applied(self, limits: Limits) -> Limits:
        """A verdict needs a clock: without one for processor time, the wall limit is all that ends a run."""
        return limits if self._box.counts_cpu else dataclasses.replace(limits, cpu_s=_UNBOUNDED_S)

    def _fields_of(self, result: RunResult) -> dict[str, Any]:
        return _plain.fields_of(result if self._box.counts_cpu else dataclasses.replace(result, cpu_s=None))

    def do_calibrate(self, work_s: float) -> dict[str, Any]:
        self._box.work_s = work_s
        return {}

    def do_prepare(self, program: dict[str, Any], limits: dict[str, Any] | None, runs: int) -> dict[str, Any]:
        source = _plain.program_of(program)
        bounds = look_up(source.language)[0].build_limits if limits is None else Limits(**limits)
        prepared = self._box.prepare(source, self._applied(bounds), runs=runs)
        if isinstance(prepared, CompileFailure):
            return {"failure": _plain.fields_of(prepared)}
        self._prepared[prepared.key] = prepared
        return {"key": prepared.key, "made": self._box.export(prepared)}

    def do_adopt(self, program: dict[str, Any], made: dict[str, Any], runs: int) -> dict[str, Any]:
        prepared = self._box.adopt(_plain.program_of(program), made, runs)
        self._prepared[prepared.key] = prepared
        return {"key": prepared.key}

    def do_run(
        self, key: int, limits: dict[str, Any], stdin: bytes, request: bytes | None, given: dict[str, Any]
    ) -> dict[str, Any]:
        result = self._box.run(
            self._prepared[key],
            limits=self._applied(Limits(**limits)),
            stdin=stdin,
            request=request,
            given=_plain.invocation_of(given),
        )
        return {"result": self._fields_of(result)}

    def do_start(
        self, key: int, limits: dict[str, Any], stdin: bytes, raw: bool, given: dict[str, Any]
    ) -> dict[str, Any]:
        self._session = self._box.start(
            self._prepared[key],
            limits=self._applied(Limits(**limits)),
            stdin=stdin,
            raw=raw,
            given=_plain.invocation_of(given),
        )
        return {}

    def do_send(self, message: bytes) -> dict[str, Any]:
        self._talk().send(message)
        return {}

    def do_receive(self, timeout_s: float | None) -> dict[str, Any]:
        return {"message": self._talk().receive(timeout_s)}

    def do_finish(self, kill: bool) -> dict[str, Any]:
        return {"result": self._fields_of(self._talk().finish(kill=kill))}

    def do_slowness(self) -> dict[str, Any]:
        return {"times": self._box.slowness()}

    def do_discard(self, key: int) -> dict[str, Any]:
        prepared = self._prepared.pop(key, None)
        if prepared is not None:
            self._box.discard(prepared)
        return {}

    def _talk(self) -> Session:
        if self._session is None:
            raise ValueError("no session is open")
        return self._session


def _receive(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, min(size, _READ_BYTES))
        if not part:
            raise EOFError("the owner has gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(message: dict[str, Any]) -> None:
    view = memoryview(_message.pack(message))
    while view:
        view = view[os.write(1, view) :]


def main() -> None:
    """Serve the owner until it is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        settings = _message.read(_receive)
        config = SandboxConfig(
            python=sys.executable,
            cgroup="off",
            recycle_runs=_FOREVER,
            recycle_s=float("inf"),
            source_bytes=settings["source_bytes"],
            read_only=tuple(settings["read_only"]),
        )
        try:
            box = InnerSlot(config, control)
        except SandboxError as error:
            _send(_plain.error_fields(error))
            return
        report = dataclasses.replace(
            box.report,
            memory_bound="container" if box.counts_memory else "per_process",
            cpu_clock=box.report.cpu_clock if box.counts_cpu else "none",
        )
        _send({"report": _plain.fields_of(report)})
        manager = _Manager(box)
        while True:
            _send(manager.answer(_message.read(_receive)))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
