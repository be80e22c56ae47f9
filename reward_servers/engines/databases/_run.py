"""Runs queries in a slot of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from sandbox import CompileFailure, Limits, Prepared, Program, Sandbox, SandboxClosedError, SandboxInternalError

Dialect = Literal["sqlite", "duckdb"]
Table = Sequence[Sequence[Any]]

_ROWS = 20_000
_BYTES = 4 << 20
_STEPS = 50_000_000
LIMITS = Limits(cpu_s=10.0, wall_s=30.0, memory_bytes=2 << 30, reply_bytes=_BYTES + 65536)


@dataclass(frozen=True, slots=True)
class Database:
    """A database that is made, or that lies in a file.

    Attributes:
        dialect: Which engine runs it.
        script: Statements that make it; not used with a path.
        path: A file that the sandbox can read.
    """

    dialect: Dialect
    script: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that returned no table.

    Attributes:
        stage: ``setup``: the database could not be made; ``refused``: it is not one statement that reads; ``query``: it
            is wrong; ``limit``: it took too much time, memory or room.
        message: What the engine said.
    """

    stage: Literal["setup", "refused", "query", "limit"]
    message: str


class Runner:
    """One slot of the sandbox, opened when it is first needed. Used by one thread at a time.

    Args:
        opener: Opens the slot, e.g. `sandbox.open_sandbox`.
        limits: Of one query.
        steps: Instructions of SQLite's machine that one query may take: the same query always ends at the same one.
    """

    def __init__(self, opener: Callable[[], Sandbox], limits: Limits = LIMITS, steps: int = _STEPS) -> None:
        self._opener = opener
        self._limits = limits
        self._steps = steps
        self._slot: Sandbox | None = None
        self._prepared: dict[Dialect, Prepared] = {}
        self._closed = False

    @property
    def slot(self) -> Sandbox:
        """The slot."""
        if self._closed:
            raise SandboxClosedError("this slot is closed")
        if self._slot is None:
            self._slot = self._opener()
        return self._slot

    def run(self, database: Database, query: str) -> Table | Failure:
        """The table that a query returns, or why there is none.

        Args:
            database: What it is run on; nothing that it does outlasts the run.
            query: One statement that reads.

        Raises:
            SandboxError: Of ours; no verdict.
        """
        bounds = {"rows": _ROWS, "bytes": _BYTES, "steps": self._steps}
        order = {"dialect": database.dialect, "script": database.script, "path": database.path, "query": query} | bounds
        done = self.slot.run(self._driver(database.dialect), limits=self._limits, request=json.dumps(order).encode())
        if not done.ok or not done.reply:
            return Failure("limit", f"the query ended by {done.ended.value}")
        reply = json.loads(done.reply)
        if "rows" not in reply:
            return Failure(reply["stage"], reply["error"])
        return Failure("limit", f"more than {_ROWS} rows") if reply["more"] else reply["rows"]

    def _driver(self, dialect: Dialect) -> Prepared:
        if dialect not in self._prepared:
            source = files("reward_servers.engines.databases").joinpath("_guest.py").read_bytes()
            driver = source + b"\n\nreply(answer(request))\n"
            preload = "databases" if dialect == "duckdb" else None
            prepared = self.slot.prepare(Program("python", b"", driver=driver, preload=preload), Limits())
            if isinstance(prepared, CompileFailure):
                raise SandboxInternalError("driver", prepared.message)
            self._prepared[dialect] = prepared
        return self._prepared[dialect]

    def close(self) -> None:
        """Close the slot for good. May be called twice."""
        self._closed = True
        if self._slot is not None:
            self._slot.close()
