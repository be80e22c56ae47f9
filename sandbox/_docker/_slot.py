"""`DockerSandbox`: one slot of the container backend, the owner's side."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from sandbox._admission import admit, check_space
from sandbox._docker import _plain
from sandbox._docker._container import Container, Engine, Size
from sandbox._errors import SandboxClosedError, SandboxInternalError, SandboxUnavailableError
from sandbox._ns._meter import HARD_CAP
from sandbox._ns._packages import locate
from sandbox._types import (
    CompileFailure,
    Invocation,
    Limits,
    Prepared,
    Program,
    RunResult,
    SandboxConfig,
    Session,
)

_T = TypeVar("_T")
_NOTHING = Invocation()
_MOST_CONTAINERS = 2  # one that compiles, one that runs
_ANSWER_S = 60.0
_TRIES = 3  # of a run: two, and the probes


@dataclasses.dataclass(slots=True)
class _PreparedProgram:
    """What is kept of a prepared program: containers come and go."""

    program: Program
    made: dict[str, Any]
    runs: int
    keys: dict[Container, int]


class DockerSandbox:
    """A slot: an engine, the containers of the sizes in use, and what was prepared here."""

    def __init__(self, config: SandboxConfig) -> None:
        """Start the slot's first container.

        Raises:
            SandboxUnavailableError: There is no engine, or it refuses a step of the isolation.
        """
        self._owner = os.getpid()
        self._config = config
        self._engine = Engine(config)
        self._interpreter = locate(config)
        self._containers: dict[Size, Container] = {}
        self._made: dict[int, _PreparedProgram] = {}
        self._next_key = 0
        self._lock = threading.Lock()
        self._closed = False
        self._session: DockerSession | None = None
        usual = Limits()
        try:
            container = self._container(Size(usual.disk_bytes, usual.files))
        except BaseException:
            self._engine.client.close()
            raise
        self.report = dataclasses.replace(
            container.report,
            isolation=f"docker, {config.docker_runtime}",
            proc="container",
            uid_map=f"{container.user}->{container.user}",
            users="own",
        )

    def prepare(self, program: Program, limits: Limits | None = None, *, runs: int = 1) -> Prepared | CompileFailure:
        """See `Sandbox.prepare`."""
        _, _, bounds = admit(program, limits, self._config, self._interpreter)
        message = {
            "program": _plain.fields_of(program),
            "limits": None if limits is None else _plain.fields_of(limits),
            "runs": runs,
        }
        with self._in_use():
            container, answer = self._tried(bounds, lambda container: self._ask(container, bounds, "prepare", message))
            if "failure" in answer:
                return _plain.failure_of(answer["failure"])
            self._next_key += 1
            self._made[self._next_key] = _PreparedProgram(program, answer["made"], runs, {container: answer["key"]})
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
        program = self._of(prepared)
        check_space(prepared.program, limits, given)
        fields = {"stdin": stdin, "request": request}
        with self._in_use():
            _, answer = self._tried(
                limits, lambda container: self._run(container, program, limits, "run", fields, given)
            )
        return _plain.result_of(answer["result"])

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
        program = self._of(prepared)
        check_space(prepared.program, limits, given)
        fields = {"stdin": stdin, "raw": raw}
        with self._in_use():
            container, _ = self._tried(
                limits, lambda container: self._run(container, program, limits, "start", fields, given)
            )
            self._session = DockerSession(self, container, limits)
            return self._session

    def slowness(self) -> float:
        """See `Sandbox.slowness`."""
        limits = Limits()
        with self._in_use():
            answer = self._tried(limits, lambda container: self._ask(container, limits, "slowness", {}))[1]
        return float(answer["times"])

    def discard(self, prepared: Prepared) -> None:
        """See `Sandbox.discard`."""
        with self._in_use():
            program = self._made.pop(prepared.key, None)
            for container, key in program.keys.items() if program is not None else ():
                if container in self._containers.values():
                    container.ask({"do": "discard", "key": key}, _ANSWER_S)

    def close(self) -> None:
        """See `Sandbox.close`."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        for container in list(self._containers.values()):  # ends a call in progress
            container.kill()
        with self._lock:
            self._retire_all()
            self._made.clear()
            self._engine.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._owner != os.getpid():
            raise RuntimeError("this sandbox was opened by another process; open one in each")
        with self._lock:
            if self._closed:
                raise SandboxClosedError("the sandbox is closed")
            if self._session is not None and self._session.open:
                raise RuntimeError("a session is open in this sandbox; finish it first")
            yield

    def _of(self, prepared: Prepared) -> _PreparedProgram:
        program = self._made.get(prepared.key)
        if program is None or program.program is not prepared.program:
            raise ValueError("the program was not prepared by this sandbox, or was discarded")
        return program

    def _tried(self, limits: Limits, action: Callable[[Container], dict[str, Any]]) -> tuple[Container, dict[str, Any]]:
        """Do something in a container, and once more in a fresh one if it was our side that failed."""
        size = Size(limits.disk_bytes, limits.files)
        try:
            container = self._container(size)
            return container, action(container)
        except SandboxInternalError as failure:
            if self._closed:
                raise SandboxClosedError("the sandbox was closed during the call") from None
            if failure.step == "starved":  # has been tried again
                raise
            self._retire_all()
        try:
            container = self._container(size)
            return container, action(container)
        except SandboxUnavailableError as error:  # it was available when it was opened, so it may be again
            raise SandboxInternalError(error.step, error.detail) from error

    def _container(self, size: Size) -> Container:
        """The container of a size, a fresh one if it has served its time."""
        container = self._containers.pop(size, None)
        if container is not None and time.monotonic() - container.started > self._config.recycle_s:
            self._forget(container)
            container = None
        if container is None:
            while len(self._containers) >= _MOST_CONTAINERS:
                self._forget(self._containers.pop(next(iter(self._containers))))
            container = Container(self._engine, self._interpreter, size)
        self._containers[size] = container  # the one used last comes last
        return container

    def _forget(self, container: Container) -> None:
        container.close()
        for program in self._made.values():
            program.keys.pop(container, None)

    def _retire_all(self) -> None:
        for container in self._containers.values():
            self._forget(container)
        self._containers.clear()

    def _ask(self, container: Container, limits: Limits, action: str, message: dict[str, Any]) -> dict[str, Any]:
        container.bound_memory(limits.memory_bytes)
        return container.ask({"do": action, **message}, _ANSWER_S + _TRIES * HARD_CAP * limits.wall_s)

    def _run(
        self,
        container: Container,
        made: _PreparedProgram,
        limits: Limits,
        action: str,
        fields: dict[str, Any],
        given: Invocation,
    ) -> dict[str, Any]:
        key = made.keys.get(container)
        if key is None:
            program = _plain.fields_of(made.program)
            message = {"do": "adopt", "program": program, "made": made.made, "runs": made.runs}
            key = made.keys[container] = container.ask(message, _ANSWER_S)["key"]
        plain = {"limits": _plain.fields_of(limits), "given": _plain.fields_of(given)}
        return self._ask(container, limits, action, {"key": key, **plain, **fields})

    def in_session(self, session: DockerSession, container: Container, message: dict[str, Any], s: float) -> Any:
        """Ask something of the container of an open session."""
        with self._lock:
            if self._closed or not session.open:
                raise SandboxClosedError("the session is over")
            try:
                return container.ask(message, s)
            except SandboxInternalError:
                session.open = False
                if self._closed:
                    raise SandboxClosedError("the sandbox was closed during the call") from None
                raise


class DockerSession:
    """See `Session`. The talk goes through the manager of the container."""

    def __init__(self, sandbox: DockerSandbox, container: Container, limits: Limits) -> None:
        self.open = True
        self._sandbox = sandbox
        self._container = container
        self._within_s = _ANSWER_S + HARD_CAP * limits.wall_s
        self._result: RunResult | None = None

    def _ask(self, action: str, **fields: Any) -> Any:
        return self._sandbox.in_session(self, self._container, {"do": action, **fields}, self._within_s)

    def send(self, message: bytes) -> None:
        """See `Session.send`."""
        self._ask("send", message=message)

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """See `Session.receive`."""
        message: bytes | None = self._ask("receive", timeout_s=timeout_s)["message"]
        return message

    def finish(self, *, kill: bool = False) -> RunResult:
        """See `Session.finish`."""
        if self._result is None:
            self._result = _plain.result_of(self._ask("finish", kill=kill)["result"])
            self.open = False
        return self._result
