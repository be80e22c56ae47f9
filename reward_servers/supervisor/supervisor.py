"""`Supervisor`: several server processes, started together, kept running, told of each other, and stopped together."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from reward_servers.config import drain_timeout_s
from reward_servers.supervisor.process import KeptProcess, Log, ServerProcess

_STILL_STARTING_S = 30.0
_AFTER_DRAIN_S = 5.0


class Supervisor:
    """Server processes that are kept running.

    Attributes:
        grace_s: Seconds that the processes may take to finish when they are stopped.
    """

    def __init__(
        self,
        programs: Sequence[ServerProcess],
        *,
        elsewhere: Mapping[str, Sequence[str]] | None = None,
        log: Log | None = None,
        grace_s: float | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            programs: What to run.
            elsewhere: Addresses of verifiers on servers that others run, for verifiers here that ask them.
            log: Takes the lines of the processes; None drops them.
            grace_s: Seconds that the processes may take to finish when they are stopped; None for as long as they may
                take to drain, and a little more.
        """
        # A server that is stopped before it has drained loses what it had admitted.
        self.grace_s = (
            drain_timeout_s(program.config for program in programs) + _AFTER_DRAIN_S if grace_s is None else grace_s
        )
        self._elsewhere = dict(elsewhere or {})
        self._log: Log = log or (lambda label, line: None)
        # It has no name: a supervisor that is killed leaves nothing behind. The servers inherit it.
        self._peers: IO[bytes] | None = None
        self._processes = [KeptProcess(program, self._log) for program in programs]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def endpoints(self) -> dict[str, tuple[str, ...]]:
        """Addresses of each server's replicas."""
        addresses: dict[str, tuple[str, ...]] = {}
        for process in self._processes:
            if process.address:
                addresses[process.program.server] = (*addresses.get(process.program.server, ()), process.address)
        return addresses

    @property
    def verifiers(self) -> dict[str, tuple[str, ...]]:
        """Names that each server hosts, as it announced them."""
        return {process.program.server: process.verifiers for process in self._processes}

    @property
    def restarts(self) -> int:
        """How often a process was started again after it had died."""
        return sum(process.restarts for process in self._processes)

    @property
    def states(self) -> dict[str, tuple[bool, int]]:
        """For each process, by its label, whether it runs and how often it was started again."""
        return {process.program.label: (bool(process.pid), process.restarts) for process in self._processes}

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each running process, by its label."""
        return {process.program.label: process.pid for process in self._processes if process.pid}

    async def start(self) -> None:
        """Start every process and wait until all of them answer.

        Raises:
            ServerRefusedError: One of them cannot be started; the others are stopped.
        """
        self._peers = peers = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (`stop` closes it)
        self._tasks = [asyncio.create_task(process.keep(peers.fileno())) for process in self._processes]
        ready = asyncio.gather(*(process.ready.wait() for process in self._processes))
        failed = asyncio.create_task(self.wait())
        either: set[asyncio.Future[Any]] = {ready, failed}
        try:
            while not (ready.done() or failed.done()):
                await asyncio.wait(either, timeout=_STILL_STARTING_S, return_when=asyncio.FIRST_COMPLETED)
                for process in self._processes:
                    if not (process.ready.is_set() or failed.done()):
                        self._log(process.program.label, "is still starting")
            if failed.done():
                await failed
            self._write_peers(peers)
        except BaseException:
            await self.stop()
            raise
        finally:
            ready.cancel()
            failed.cancel()
            await asyncio.gather(ready, failed, return_exceptions=True)

    def _write_peers(self, peers: IO[bytes]) -> None:
        """Tell every server where all verifiers are: one line, whose end says that it is whole."""
        addresses_by_verifier = {name: list(addresses) for name, addresses in self._elsewhere.items()}
        for process in self._processes:
            for verifier in process.verifiers:
                addresses_by_verifier.setdefault(verifier, []).append(process.address)
        peers.write(json.dumps(addresses_by_verifier).encode() + b"\n")

    async def wait(self) -> None:
        """Wait for as long as everything is kept running.

        Raises:
            ServerRefusedError: A server cannot be kept running.
        """
        if self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Stop every process: SIGTERM, and SIGKILL for what is still there after the grace."""
        for process in self._processes:
            process.stop(signal.SIGTERM)
        running = {task for task in self._tasks if not task.done()}
        if running:
            _, late = await asyncio.wait(running, timeout=self.grace_s)
            if late:
                self.kill()
                await asyncio.wait(late)
        for task in self._tasks:
            # The caller has been told why already; an error that is never fetched would be logged by asyncio.
            if not task.cancelled():
                task.exception()
        self._tasks = []
        if self._peers is not None:
            self._peers.close()

    def kill(self) -> None:
        """Kill every process at once; what they were doing is lost."""
        for process in self._processes:
            process.stop(signal.SIGKILL)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
