"""`NsSandbox`: one slot of the namespace backend."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from sandbox._admission import admit, check_space
from sandbox._errors import SandboxClosedError, SandboxInternalError, SandboxUnavailableError
from sandbox._languages import PRELOADS, look_up
from sandbox._ns import _cgroup, _jobs
from sandbox._ns._jobs import Artefact, Launch
from sandbox._ns._meter import HARD_CAP
from sandbox._ns._packages import locate
from sandbox._ns._probe import PROBE, PROBE_LIMITS, slowness
from sandbox._ns._remedies import remedy
from sandbox._ns._running import Running
from sandbox._ns._session import NsSession
from sandbox._ns._zygote import MAX_SPARES, Child, Zygote, space
from sandbox._starvation import Attempt, settle
from sandbox._types import (
    CompileFailure,
    Exit,
    Invocation,
    IsolationReport,
    Limits,
    Prepared,
    Program,
    RunResult,
    SandboxConfig,
    Session,
    Step,
)

_T = TypeVar("_T")
_NO_PRELOAD = ""
_PROBE_KEY = -1
_NOTHING = Invocation()
_IN_A_ROW_S = 0.002
"""With a shorter pause between two runs a third one is expected at once, and its process made beside the second."""


class NsSandbox:
    """A slot: zygotes (one per preload set in use), their spares, and the programs prepared here."""

    _probe_program = PROBE

    def __init__(self, config: SandboxConfig) -> None:
        """Start the slot's first zygote.

        Raises:
            SandboxUnavailableError: This host refuses a step of the isolation.
        """
        self._config = config
        self._owner = os.getpid()
        self._hierarchy = _find_hierarchy(config)
        self._interpreter = locate(config)
        self._zygotes: dict[str, Zygote] = {}
        self._artefacts: dict[int, Artefact] = {}
        self._next_key = 0
        self._probe_artefact: Artefact | None = None
        self._armed: tuple[int, Limits, Child, Zygote] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._session: NsSession | None = None
        self._last_end = 0.0
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            zygote = self._zygote_for(_NO_PRELOAD)
        except BaseException:
            os.close(self._wake)
            raise
        self.report = IsolationReport(
            isolation="ns",
            memory_bound=self._hierarchy.kind if self._hierarchy else "per_process",
            pids_bound="rlimit",
            cpu_clock=self._hierarchy.kind if self._hierarchy and self._hierarchy.cpu else "proc",
            wall_clock="run_queue" if os.path.exists("/proc/self/schedstat") else "elapsed",
            proc="fresh",
            uid_map=f"0->{zygote.uid}",
            users="shared" if zygote.shares_user else "own",
            interpreter=f"{self._interpreter.path} {zygote.version}",
            steps=tuple(Step(name, True) for name in zygote.steps),
        )

    def prepare(self, program: Program, limits: Limits | None = None, *, runs: int = 1) -> Prepared | CompileFailure:
        """See `Sandbox.prepare`."""
        language, tool, bounds = admit(program, limits, self._config, self._interpreter)
        with self._in_use():
            if not tool or language.is_built:
                program_, _ = settle(
                    lambda wall_factor: self._make(program, bounds, runs, wall_factor), self._probe, bounds.wall_s
                )
            else:
                program_ = Artefact(program, language, tool)
            if isinstance(program_, CompileFailure):
                return program_
            program_.runs = runs
            self._next_key += 1
            self._artefacts[self._next_key] = program_
            if self._armed is not None and not tool:
                self._armed = (self._next_key, *self._armed[1:])
            return Prepared(program, self._next_key)

    def run(
        self,
        prepared: Prepared,
        *,
        limits: Limits,
        stdin: bytes = b"",
        request: bytes | None = None,
        given: Invocation = _NOTHING,
    ) -> RunResult:
        """See `Sandbox.run`."""
        artefact = self._artefact(prepared)
        check_space(prepared.program, limits, given)
        with self._in_use():
            result, slow = settle(
                lambda wall_factor: self._retried(
                    lambda: self._run(prepared.key, artefact, limits, stdin, request, given, wall_factor)
                ),
                self._probe,
                limits.wall_s,
            )
            # Where the probe has decided, no more of the time is excused than the host took by it.
            wall_s = max(result.wall_s, result.elapsed_s / slow)
            return result if result.ended is not Exit.WALL_LIMIT else dataclasses.replace(result, wall_s=wall_s)

    def slowness(self) -> float:
        """See `Sandbox.slowness`."""
        with self._in_use():
            return self._probe()

    def start(
        self,
        prepared: Prepared,
        *,
        limits: Limits,
        stdin: bytes = b"",
        raw: bool = False,
        given: Invocation = _NOTHING,
    ) -> Session:
        """See `Sandbox.start`."""
        artefact = self._artefact(prepared)
        check_space(prepared.program, limits, given)
        data = _jobs.RAW if raw else "session"
        with self._in_use():
            running = self._retried(lambda: self._begin(prepared.key, artefact, limits, stdin, data, given, 1.0))
            self._session = NsSession(running, limits, self._lock, raw=raw)
            return self._session

    def discard(self, prepared: Prepared) -> None:
        """See `Sandbox.discard`."""
        with self._in_use():
            artefact = self._artefacts.pop(prepared.key, None)
            if self._armed is not None and self._armed[0] == prepared.key:
                self._disarm()
            for zygote in self._zygotes.values():
                zygote.drop_spares()
        if artefact is not None:
            artefact.close()

    def close(self) -> None:
        """See `Sandbox.close`."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        os.eventfd_write(self._wake, 1)
        with self._lock:
            if self._session is not None:
                self._session.abandon()
            self._disarm()
            for zygote in self._zygotes.values():
                zygote.close()
            for artefact in self._artefacts.values():
                artefact.close()
            self._zygotes.clear()
            self._artefacts.clear()
            os.close(self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._owner != os.getpid():
            raise RuntimeError("this sandbox was opened by another process; open one in each")
        with self._lock:
            if self._closed:
                raise SandboxClosedError("the sandbox is closed")
            if self._session is not None:
                if self._session.open:
                    raise RuntimeError("a session is open in this sandbox; finish it first")
                self._session = None
            yield

    def _artefact(self, prepared: Prepared) -> Artefact:
        artefact = self._artefacts.get(prepared.key)
        if artefact is None or artefact.program is not prepared.program:
            raise ValueError("the program was not prepared by this sandbox, or was discarded")
        return artefact

    def _retried(self, action: Callable[[], _T]) -> _T:
        """Do something with a zygote, and once more with a fresh one if it was our side that failed."""
        try:
            return action()
        except (SandboxInternalError, OSError):
            if self._closed:
                raise SandboxClosedError("the sandbox was closed during the call") from None
            self._disarm()
            self._retire_all()
        try:
            return action()
        except SandboxUnavailableError as error:  # it was available when it was opened, so it may be again
            raise SandboxInternalError(error.step, error.detail) from error
        except OSError as error:
            raise SandboxInternalError("host", str(error)) from error

    def _retire_all(self) -> None:
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()

    def _zygote_for(self, preload: str) -> Zygote:
        """Return the zygote for a preload set, a fresh one if it has served its time."""
        zygote = self._zygotes.get(preload)
        if zygote is not None:
            age = time.monotonic() - zygote.started
            if zygote.runs < self._config.recycle_runs and age < self._config.recycle_s:
                return zygote
            del self._zygotes[preload]
            zygote.close()
        self._zygotes[preload] = self._start_zygote(preload)
        return self._zygotes[preload]

    def _start_zygote(self, preload: str) -> Zygote:
        modules = tuple(name for name in PRELOADS.get(preload, ()) if name in self._interpreter.packages)
        return Zygote(self._interpreter, modules, self._hierarchy)

    def _take(self, program: Program, limits: Limits, *, usual: bool = True) -> tuple[Zygote, Child]:
        self._disarm()
        zygote = self._zygote_for(program.preload or _NO_PRELOAD)
        return zygote, zygote.take(space(limits), usual=usual)

    def _disarm(self) -> None:
        armed, self._armed = self._armed, None
        if armed is not None:
            armed[2].close()

    def _make(
        self, program: Program, limits: Limits, runs: int, wall_factor: float
    ) -> Attempt[Artefact | CompileFailure]:
        tool = look_up(program.language)[1]
        if tool:
            return self._retried(lambda: self._build(program, limits, tool, wall_factor))
        return self._retried(lambda: self._compile(program, limits, runs, wall_factor))

    def _compile(
        self, program: Program, limits: Limits, runs: int, wall_factor: float
    ) -> Attempt[Artefact | CompileFailure]:
        """Compile a Python program; the process that did it waits to be its first run."""
        zygote, child = self._take(program, limits)
        if runs > 1:
            zygote.request_spares()
        attempt = _jobs.compile_python(program, limits, child, self._wake, wall_factor)
        self._last_end = time.monotonic()
        if isinstance(attempt.value, Artefact):
            self._armed = (0, limits, child, zygote)
        return attempt

    def _build(
        self, program: Program, limits: Limits, tool: str, wall_factor: float
    ) -> Attempt[Artefact | CompileFailure]:
        zygote, child = self._take(program, limits, usual=False)
        job = _jobs.build_job(program, limits, tool)
        running = self._send(Launch(zygote, child, job, limits, program, wall_factor=wall_factor))
        try:
            running.drive(lambda: False)
            built = _jobs.collect_build(running, program, tool, zygote)
            return Attempt(built, *running.clocks, late=running.late, doubtful=running.doubtful)
        finally:
            running.close()

    def _probe(self) -> float:
        """Run a program of ours while nothing else of this slot runs: how many times slower is the host?"""
        if self._probe_artefact is None:
            artefact = self._make(self._probe_program, PROBE_LIMITS, 1, HARD_CAP).value
            if isinstance(artefact, CompileFailure):
                raise SandboxInternalError("probe", artefact.message)
            self._probe_artefact = artefact
        probe = self._probe_artefact
        ran = self._retried(lambda: self._run(_PROBE_KEY, probe, PROBE_LIMITS, b"", None, _NOTHING, 1.0))
        return self._slowness_by(ran.value)

    def _slowness_by(self, probe: RunResult) -> float:
        return slowness(probe)

    def _run(
        self,
        key: int,
        artefact: Artefact,
        limits: Limits,
        stdin: bytes,
        request: bytes | None,
        given: Invocation,
        wall_factor: float,
    ) -> Attempt[RunResult]:
        data = "request" if artefact.program.driver is not None else "none"
        running = self._begin(key, artefact, limits, stdin, data, given, wall_factor)
        try:
            if data == "request":
                with contextlib.suppress(EOFError):  # what the program did instead is in the result
                    running.feed(request or b"", last=True)
            running.drive(lambda: False)
            result = running.result()
            late = result.ended is Exit.WALL_LIMIT
            proven = result.ended not in (Exit.EXITED, Exit.SIGNALED, Exit.WALL_LIMIT)
            stalled_s, doubtful = running.stalled_s, late and running.doubtful
            return Attempt(result, *running.clocks, stalled_s=stalled_s, late=late, doubtful=doubtful, proven=proven)
        finally:
            running.close()
            self._last_end = time.monotonic()
            running.request_spares()

    def _begin(
        self,
        key: int,
        artefact: Artefact,
        limits: Limits,
        stdin: bytes,
        data: str,
        given: Invocation,
        wall_factor: float,
    ) -> Running:
        program = artefact.program
        artefact.runs = max(0, artefact.runs - 1)
        armed = self._armed
        job: dict[str, Any]
        if armed is not None and armed[0] == key and space(armed[1]) == space(limits):
            self._armed = None
            child, zygote = armed[2:]
            job = _jobs.armed_job(limits, data, given)
        else:
            zygote, child = self._take(program, limits)
            job = _jobs.run_job(artefact, limits, data, given)
        return self._send(Launch(zygote, child, job, limits, program, stdin, artefact, wall_factor))

    def _send(self, start: Launch) -> Running:
        running = _jobs.launch(start, self._wake)
        if start.artefact is not None and start.artefact.runs:
            start.zygote.request_spares(min(start.artefact.runs, MAX_SPARES))
        elif time.monotonic() - self._last_end < _IN_A_ROW_S:
            start.zygote.request_spares()
        return running


def _find_hierarchy(config: SandboxConfig) -> _cgroup.Hierarchy | None:
    if config.cgroup == "off":
        return None
    if config.cgroup not in ("auto", "require"):
        raise ValueError(f"cgroup must be auto, require or off, not {config.cgroup!r}")
    hierarchy = _cgroup.find(config.cgroup_parent)
    if hierarchy is None and config.cgroup == "require":
        raise SandboxUnavailableError("cgroup", remedy("cgroup"), "no delegated cgroup with a memory controller")
    return hierarchy
