"""The nouns of the sandbox: `Limits`, `Program`, `Prepared`, `RunResult`, `Session`, `Sandbox`, `IsolationReport`.

A sandbox runs programs and says what happened. It knows nothing of tests, expected outputs or scores. All sizes
are bytes, all times seconds. Times of a run are CPU time of its whole process tree, and wall time from which the
time spent waiting for a processor is subtracted, so that neither depends on the load of the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

MIB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Exceeding any of them ends the run and is reported in `RunResult.ended`.

    Attributes:
        cpu_s: CPU time of the whole process tree.
        wall_s: Elapsed time less the time spent waiting for a processor; ends programs that sleep.
        memory_bytes: Address space per process, and memory of the run as a whole where a cgroup is available.
        stdout_bytes: Bytes of standard output kept; one more ends the run.
        stderr_bytes: The same for standard error.
        disk_bytes: Everything the run may store, and the largest file.
        files: Files and directories the run may make.
        processes: Processes and threads alive at once.
        reply_bytes: Bytes kept of what comes over the data descriptor.
    """

    cpu_s: float = 10.0
    wall_s: float = 30.0
    memory_bytes: int = 256 * MIB
    stdout_bytes: int = MIB
    stderr_bytes: int = MIB
    disk_bytes: int = 64 * MIB
    files: int = 10_000
    processes: int = 64
    reply_bytes: int = 4 * MIB

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"limit {field.name} must be positive and finite, not {value!r}")


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """What is to be run.

    Attributes:
        language: Name of a row of the language table: `python`, `c`, `cpp`, `javascript`, `bash`.
        source: The text of the program as sent.
        files: Further files of the working directory by relative name. Names that leave it are refused.
        preload: Python only: name of a set of packages that the interpreter holds already when the run begins
            (`scientific`: numpy, scipy, pandas, sympy; `databases`: duckdb). It changes the speed of a run, never its
            meaning.
        driver: Python only: source that is executed in place of the program, in the same process and locked in
            like it, and loads the program when it wants to. Without a driver the program runs as
            `python main.py` would run it. A driver finds these names in its globals:

            - `load(name: str = "__main__") -> dict[str, object]` executes the compiled program in a fresh module
              of that name and returns the module's globals; what the program raises comes through;
            - `request: bytes`, what was given to `run` (empty if nothing was);
            - `reply(data: bytes) -> None` appends bytes to `RunResult.reply`, unbuffered;
            - `receive() -> bytes | None` and `send(message: bytes) -> None` exchange whole messages with a
              `Session`; `receive` returns None when the other side has finished.

            The program shares the process with the driver and can do all that the driver can: nothing that comes
            back may be trusted, and nothing secret may be sent.
    """

    language: str
    source: bytes
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    preload: str | None = None
    driver: bytes | None = None


class Exit(StrEnum):
    """How a run ended, as measured from outside. Of several limits the first in this order is named.

    There is no value for the limit of processes: a program that cannot start one more is told so by the kernel
    (EAGAIN) and goes on, and what it does then is what ends it.
    """

    OUTPUT_LIMIT = "output_limit"
    MEMORY_LIMIT = "memory_limit"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    DISK_LIMIT = "disk_limit"
    SIGNALED = "signaled"
    EXITED = "exited"


@dataclasses.dataclass(frozen=True, slots=True)
class Invocation:
    """What one run of a prepared program gets beside it.

    Attributes:
        args: Arguments on its command line.
        files: Further files of its working directory, by their relative names.
        keeps: A directory below the working directory whose files the result is to hold; it is made if it is missing.
    """

    args: tuple[str, ...] = ()
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    keeps: str = ""


_NOTHING = Invocation()


@dataclasses.dataclass(frozen=True, slots=True)
class RunResult:
    """What one run did. Nothing in it was claimed by the program, except the bytes that it wrote.

    Attributes:
        ended: How it ended.
        exit_code: Exit code of the main process, None if a signal or a limit ended it.
        signal: Number of the signal that ended the main process, else None.
        stdout: Standard output, exact up to the limit.
        stderr: Standard error, exact up to the limit.
        reply: What came over the data descriptor. Written by a process that holds foreign code: never trust it.
        stdout_truncated: Whether more than `Limits.stdout_bytes` were written.
        stderr_truncated: The same for standard error.
        reply_truncated: The same for the data descriptor.
        cpu_s: CPU time of the process tree; None where no clock of this host can be trusted (`cpu_clock`).
        wall_s: Elapsed time less the time spent waiting for a processor.
        elapsed_s: Elapsed time as a clock on the wall shows it.
        peak_memory_bytes: Largest memory of the run: of the whole run where a cgroup counts it, else of its
            largest process. None where it could not be read.
        files: What the main process left in the directory of `Invocation.keeps`, by its name there; empty if that is
            more than `Limits.reply_bytes`, which `reply_truncated` then says.
    """

    ended: Exit
    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    reply: bytes
    stdout_truncated: bool
    stderr_truncated: bool
    reply_truncated: bool
    cpu_s: float | None
    wall_s: float
    elapsed_s: float
    peak_memory_bytes: int | None
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with exit code 0."""
        return self.ended is Exit.EXITED and self.exit_code == 0


@dataclasses.dataclass(frozen=True, slots=True)
class CompileFailure:
    """The program does not compile; the candidate's own doing, so a verdict and never an error.

    Attributes:
        message: What the compiler said, cut to the limit of standard error.
        ended: `EXITED` for a plain compiler error, else the limit that the compilation ran into.
    """

    message: str
    ended: Exit = Exit.EXITED


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A program compiled once by a sandbox. Only the sandbox that made it can run it, as often as wanted.

    Attributes:
        program: What was compiled.
        key: Number of this artefact within its sandbox.
    """

    program: Program
    key: int


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the start-up self-test.

    Attributes:
        name: What was set up or tried.
        ok: Whether it holds.
        detail: What was seen.
    """

    name: str
    ok: bool
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class IsolationReport:
    """What holds on this host, proven by the self-test when the sandbox was opened.

    Attributes:
        isolation: Name of the backend, e.g. `ns`.
        memory_bound: What bounds the memory of a run: `cgroup_v1`, `cgroup_v2` (the sum over its processes) or
            `per_process` (each process by itself).
        pids_bound: What bounds its processes: `rlimit` counts within a user namespace made for the run.
        cpu_clock: What measures CPU time: `cgroup_v1`, `cgroup_v2` or `proc`. `none`: the kernel of the runs counts
            waiting for a processor as computing, so `Limits.cpu_s` is not applied and only `wall_s` ends a run.
        wall_clock: `run_queue` if waiting for a processor is subtracted, else `elapsed`.
        proc: `fresh`: a run sees only its own processes.
        uid_map: Host user id behind the program's user id, e.g. `0->1879050000`.
        users: `own` if no other slot runs as that user of the host, so that what the kernel counts for a user is
            counted for the slot; `shared` if slots have one user in common.
        interpreter: The Python that runs Python programs, with its version.
        steps: Result of each step of the self-test, canaries included.
    """

    isolation: str
    memory_bound: str
    pids_bound: str
    cpu_clock: str
    wall_clock: str
    proc: str
    uid_map: str
    users: str
    interpreter: str
    steps: tuple[Step, ...]


class Session(Protocol):
    """A run that is talked to while it runs, over its data descriptor. One thread at a time."""

    def send(self, message: bytes) -> None:
        """Send one message to the program.

        Raises:
            EOFError: The program has ended or closed its end.
        """

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Return the next message of the program, or None when there will be none: `finish` says why.

        A message larger than `Limits.reply_bytes` ends the run. The limits of the run hold meanwhile.

        Args:
            timeout_s: Seconds to wait at most; without it the run's own limits decide.

        Raises:
            TimeoutError: `timeout_s` has passed; the run goes on.
        """

    def finish(self, *, kill: bool = False) -> RunResult:
        """Close the program's input side, wait until it has ended (or end it) and say what it did."""


class Sandbox(Protocol):
    """One slot: used by one thread at a time. Open as many as are to run side by side.

    `close` may be called from another thread at any time; a call in progress then raises `SandboxClosedError`.
    """

    @property
    def report(self) -> IsolationReport:
        """What holds on this host."""

    def prepare(self, program: Program, limits: Limits | None = None, *, runs: int = 1) -> Prepared | CompileFailure:
        """Check and compile a program inside the sandbox, once.

        Args:
            program: What to compile.
            limits: Limits of the compilation; those of the language table if None.
            runs: How often it is going to be run, as far as known. Processes of a row of runs are made ahead; it may
                be run more or less often all the same.

        Raises:
            UnsupportedLanguageError: No such language here.
            ProgramRefusedError: The program cannot be run anywhere (sizes, file names).
            SandboxInternalError: Ours; may be tried again.
        """

    def run(
        self,
        prepared: Prepared,
        *,
        limits: Limits,
        stdin: bytes = b"",
        request: bytes | None = None,
        given: Invocation = _NOTHING,
    ) -> RunResult:
        """Run a prepared program in a process, file system and namespaces of its own.

        Args:
            prepared: From `prepare` of this sandbox.
            limits: Limits of this run.
            stdin: Standard input; ends after these bytes.
            request: What a driver reads from the data descriptor.
            given: What this run gets beside the program.

        Raises:
            ProgramRefusedError: A name of a file.
            SandboxInternalError: Ours; may be tried again.
        """

    def start(
        self,
        prepared: Prepared,
        *,
        limits: Limits,
        stdin: bytes = b"",
        raw: bool = False,
        given: Invocation = _NOTHING,
    ) -> Session:
        """Start a prepared program that is talked to over its data descriptor.

        Args:
            prepared: From `prepare` of this sandbox.
            limits: Limits of this run.
            stdin: Standard input; ends after these bytes.
            raw: Talk to a program of any language over its standard input and output instead. Messages then are bytes
                as they come, in both directions.
            given: What this run gets beside the program.
        """

    def slowness(self) -> float:
        """How many times slower this host is than it should be, by a probe of our own while nothing else runs here.

        1 on a host with a processor to spare. `run` asks it by itself when a wall limit is in doubt; it is for
        those who keep a clock of their own on a `Session`.

        Raises:
            SandboxInternalError: Ours; may be tried again.
        """

    def discard(self, prepared: Prepared) -> None:
        """Forget a prepared program and free what is kept for it."""

    def close(self) -> None:
        """End everything that belongs to this slot. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Settings of a slot, given by the operator.

    Attributes:
        python: Interpreter for Python programs; the one that runs this code if None.
        packages: Directory in which the packages of the preload sets are looked up (a `site-packages`); that of
            the running interpreter if None. Only the packages of the sets are shown to programs.
        cgroup: `auto` uses the first of cgroup v2 and v1 that is delegated and else bounds each process by
            itself; `require` refuses to start without; `off` does not look.
        recycle_runs: Runs after which the warm process is replaced (all runs in between share its address layout).
        recycle_s: Seconds after which it is replaced.
        source_bytes: Largest source with its files that is accepted.
        read_only: Further directories of the host that programs may read, e.g. a toolchain outside `/usr`.
        cgroup_parent: Directory of a delegated cgroup v2 group in which the groups of runs are made.
        backend: Kind of isolation: `ns` or `docker`.
        docker_runtime: Runtime of its containers, as the engine calls it: `runc`, or `runsc` where it is installed.
        docker_host: Address of the engine, e.g. `unix:///var/run/docker.sock`; that of the environment if None. It
            runs on this host, since containers are shown its system directories.
        docker_processes: Processes and threads that a container may hold, whatever a run is allowed.
    """

    python: str | None = None
    packages: str | None = None
    cgroup: str = "auto"
    recycle_runs: int = 1000
    recycle_s: float = 900.0
    source_bytes: int = 16 * MIB
    read_only: tuple[str, ...] = ()
    cgroup_parent: str | None = None
    backend: str = "ns"
    docker_runtime: str = "runc"
    docker_host: str | None = None
    docker_processes: int = 256
