"""One server process: what to start, and keeping it running on the port that it had."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from reward_servers.process.restarts import delay_before

_FINAL = (2, 70)
"""Exit codes of a server that cannot be started as it is asked to, or not at all; see ``reward_servers.cli``."""
_READY = re.compile(r"listening on (\S+):(\d+) verifiers=(\S*)")
_FIRST_STARTS = 3
_LATER_STARTS = 8
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 10.0
_SETTLED_S = 30.0
_MAX_LINE_BYTES = 1 << 16
_LAST_OUTPUT_S = 2.0

Log = Callable[[str, str], None]
"""Takes the label of a process and a line that it wrote or that concerns it."""


class SupervisorError(Exception):
    """Root of the errors of supervision."""


class ServerRefusedError(SupervisorError):
    """A server does not start; starting it again would not help.

    Attributes:
        label: Which process.
        reason: What it said.
    """

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(label, reason)
        self.label = label
        self.reason = reason

    def __str__(self) -> str:
        return f"server {self.label}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """One server process to run.

    Attributes:
        server: Name of the server; replicas share it.
        verifiers: What it hosts.
        config: Its settings file.
        host: Address to listen on; None for what the settings say.
        port: Port; 0 for any free one, None for what the settings say.
        workers: Worker processes; None for what the settings say.
        insecure: Whether plain text is accepted on an address that others can reach.
        replica: Number among the replicas of the server, counted from 1; 0 when it is the only one.
        metrics: Port for its metrics; None for what the settings say.
        plain: Whether it speaks plain text even where its settings have certificates: for use on this host alone.
        import_path: Folders that it may import verifiers from, besides what is installed.
        env: Variables of its environment besides our own.
        cache_bytes: Size of its cache of verdicts; None for what the settings say.
    """

    server: str
    verifiers: tuple[str, ...]
    config: str | None = None
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    insecure: bool = False
    replica: int = 0
    plain: bool = False
    import_path: tuple[str, ...] = ()
    cache_bytes: int | None = None
    metrics: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What logs call it."""
        return f"{self.server}.{self.replica}" if self.replica else self.server

    def command(self, port: int | None, peers: int) -> list[str]:
        """The command line that starts it.

        Args:
            port: Port that it had before, which callers know; None on the first start.
            peers: Descriptor of the file that says where every verifier is; the process inherits it.
        """
        options = {"config": self.config, "host": self.host, "port": self.port if port is None else port}
        options |= {"workers": self.workers, "cache-bytes": self.cache_bytes, "metrics-port": self.metrics}
        line = [sys.executable, "-P", "-m", "reward_servers", "serve", "--with-parent", "--peers", f"/dev/fd/{peers}"]
        for name, value in options.items():
            if value is not None:
                line += [f"--{name}", str(value)]
        for folder in self.import_path:
            line += ["--import-path", folder]
        if self.insecure:
            line.append("--insecure")
        if self.plain:
            line.append("--plain")
        return [*line, "--", *self.verifiers]


class KeptProcess:
    """Keeps one process running."""

    def __init__(self, program: ServerProcess, log: Log) -> None:
        self.program = program
        self.address = ""
        self.verifiers: tuple[str, ...] = ()
        self.ready = asyncio.Event()
        self.restarts = 0
        self.stopping = False
        self.pid = 0
        self._log = log
        self._port: int | None = None
        self._answers = False
        self._last_error = ""
        self._stopped = asyncio.Event()

    def stop(self, number: signal.Signals) -> None:
        """End the process by a signal, and do not start it again."""
        self.stopping = True
        self._stopped.set()
        self.signal(number)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGKILL to all that the process has started, others to itself, which tells its own."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if number is signal.SIGKILL else os.kill)(self.pid, number)

    async def keep(self, peers: int) -> None:
        """Start the process, and again whenever it ends, until it is told to stop.

        Args:
            peers: Descriptor of the file that says where every verifier is; the process inherits it.

        Raises:
            ServerRefusedError: It does not start.
        """
        deaths = refusals = 0
        while not self.stopping:
            began = time.monotonic()
            was_alive, code = await self._run_once(peers)
            if self.stopping:
                return
            deaths = 0 if was_alive and time.monotonic() - began > _SETTLED_S else deaths + 1
            refusals = 0 if was_alive else refusals + 1
            self._raise_if_hopeless(code, refusals)
            self.restarts += 1
            delay = delay_before(deaths - 1, _FIRST_DELAY_S, _MAX_DELAY_S) if deaths else 0.0
            self._log(self.program.label, f"ended with {_ending(code)}; starting it again in {delay:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), delay)

    def _raise_if_hopeless(self, code: int, refusals: int) -> None:
        """Give up on a process that does not start.

        A refusal at the first start is final. Later it may pass, as a port that another process holds for a moment.
        """
        allowed = _LATER_STARTS if self.address else 1 if code in _FINAL else _FIRST_STARTS
        if refusals >= allowed:
            raise ServerRefusedError(
                self.program.label, self._last_error or f"it ended with {_ending(code)} while starting"
            )

    async def _run_once(self, peers: int) -> tuple[bool, int]:
        """Run the process to its end. Return whether it answered, and its exit code."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.program.command(self._port, peers),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **self.program.env},
                pass_fds=(peers,),
                # In a group of its own it hears of Ctrl-C from the supervisor alone, which lets it finish its work.
                start_new_session=True,
            )
        except OSError as error:
            # The host is short of processes or memory, perhaps for a moment.
            self._last_error = f"no process can be started: {error}"
            return False, 1
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self._answers = False
        if self.stopping:
            self.signal(signal.SIGTERM)
        reading = asyncio.gather(self._read_output(process.stdout), self._read_log(process.stderr))
        try:
            code = await process.wait()
        finally:
            # What a killed server has started would hold its pipes open.
            self.signal(signal.SIGKILL)
            self.pid = 0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reading, _LAST_OUTPUT_S)
        return self._answers, code

    async def _read_output(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            announced = _READY.fullmatch(line)
            if announced is None:
                self._log(self.program.label, line)
                continue
            host, port, verifiers = announced.groups()
            self._port = int(port)
            self.address = f"{host}:{port}"
            self.verifiers = tuple(verifiers.split(","))
            self._answers = True
            self.ready.set()

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            if line.startswith("error: "):
                self._last_error = line.removeprefix("error: ")
            self._log(self.program.label, line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream; one that is too long is cut, whatever a server prints."""
    tail = b""
    while data := await stream.read(_MAX_LINE_BYTES):
        *lines, tail = (tail + data).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if len(tail) >= _MAX_LINE_BYTES:
            yield tail.decode("utf-8", "replace")
            tail = b""
    if tail:
        yield tail.decode("utf-8", "replace")


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # most of the real-time signals have no name
        return f"signal {-code}"
