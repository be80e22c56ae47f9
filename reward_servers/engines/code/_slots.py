"""The sandboxes that one judging thread uses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Self

from reward_servers.engines.code._guest import driver_source
from sandbox import (
    CompileFailure,
    Limits,
    Prepared,
    Program,
    Sandbox,
    SandboxClosedError,
    SandboxInternalError,
)

_KEPT_PROGRAMS = 8
_BUILD = Limits(cpu_s=60.0, wall_s=180.0, memory_bytes=2 << 30, disk_bytes=512 << 20)


class Slots:
    """Two slots: one for programs under test, one for trusted code (checkers and test code), opened when needed.

    A program and the code that tests it never share a slot. Used by one thread at a time; `close` may be called from
    another one, a judgement in progress then ends with `sandbox.SandboxClosedError`.

    Args:
        opener: Opens one slot, e.g. `sandbox.open_sandbox`.
    """

    def __init__(self, opener: Callable[[], Sandbox]) -> None:
        self._opener = opener
        self._open: dict[str, Sandbox] = {}
        self._programs: dict[Hashable, Prepared | CompileFailure] = {}
        self._drivers: dict[tuple[str | None, ...], Prepared] = {}
        self._closed = False
        self._lock = threading.Lock()

    @property
    def program(self) -> Sandbox:
        """The slot of programs under test."""
        return self._slot("program")

    @property
    def trusted(self) -> Sandbox:
        """The slot of checkers and test code."""
        return self._slot("trusted")

    def _slot(self, name: str) -> Sandbox:
        with self._lock:
            if self._closed:
                raise SandboxClosedError("these slots are closed")
            if name not in self._open:
                self._open[name] = self._opener()
            return self._open[name]

    def driver(self, *names: str, preload: str | None = None) -> Prepared:
        """A driver prepared in the slot of trusted code, once.

        Args:
            names: Files of the driver, see `driver_source`.
            preload: Packages that the interpreter holds already.
        """
        key = (preload, *names)
        if key not in self._drivers:
            program = Program("python", b"", driver=driver_source(*names), preload=preload)
            prepared = self.trusted.prepare(program, Limits())
            if isinstance(prepared, CompileFailure):
                raise SandboxInternalError("driver", prepared.message)
            self._drivers[key] = prepared
        return self._drivers[key]

    def trusted_program(self, key: Hashable, make: Callable[[], Program]) -> Prepared | CompileFailure:
        """A trusted program prepared in the slot of trusted code, the last few of which are kept.

        Args:
            key: What tells it from others.
            make: Makes it.
        """
        if key not in self._programs:
            while len(self._programs) >= _KEPT_PROGRAMS:
                oldest = self._programs.pop(next(iter(self._programs)))
                if not isinstance(oldest, CompileFailure):
                    self.trusted.discard(oldest)
            self._programs[key] = self.trusted.prepare(make(), _BUILD)
        return self._programs[key]

    def close(self) -> None:
        """Close both slots for good. May be called twice."""
        with self._lock:
            self._closed = True
            for slot in self._open.values():
                slot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
