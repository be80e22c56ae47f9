"""What a server hosts, and what runs it: both may change while it serves.

Of one name several versions may be hosted: callers that pin none get the current one, and those that have pinned an
earlier one keep it for as long as it is hosted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from reward_servers.core._bound import BoundVerifier
from reward_servers.core._context import Ask
from reward_servers.core._digest import code_digest
from reward_servers.core._stretch import SettlePlain
from reward_servers.core._verifier import Placement
from reward_servers.core._work import Evaluation, Executor, Settle
from reward_servers.core.executors import LoopExecutor, ProcessExecutor

_log = logging.getLogger("assay.server")


class Sinks(NamedTuple):
    """Where executors report, and what they ask.

    Attributes:
        settle: Takes what becomes of a unit.
        settle_plain: Takes plain verdicts of a stretch.
        note_death: Told the pool and the cause when a worker has died.
        ask: Asks another verifier.
    """

    settle: Settle
    settle_plain: SettlePlain
    note_death: Callable[[str, str], None]
    ask: Ask


class Hosting:
    """Verifiers with their executors.

    Attributes:
        current: What callers get that pin nothing, by name.
        earlier: Other versions of those, the latest last.
        revision: Changes with them.
        when_unusable: Called when a device of a verifier can no longer be used: whoever serves should drain, and other
            replicas will be asked.
    """

    def __init__(self, hosted: Sequence[BoundVerifier], sinks: Sinks, workers: int, preload: Sequence[str]) -> None:
        """Take what is hosted from the beginning.

        Args:
            hosted: The verifiers; those that run in processes share them.
            sinks: Where executors report.
            workers: Worker processes of a pool.
            preload: Modules that workers need in addition to those of the verifiers.
        """
        self.current = {bound.identity.name: bound for bound in hosted}
        self.earlier: dict[str, list[BoundVerifier]] = {}
        self.revision = 0
        self.when_unusable: Callable[[], None] = lambda: None
        self._sinks = sinks
        self._workers = workers
        self._preload = preload
        self._executors: dict[int, Executor] = {}
        self.owned: list[Executor] = []
        pooled = [bound for bound in hosted if bound.verifier.runs is Placement.PROCESS]
        if pooled:
            pool = ProcessExecutor(pooled, sinks.settle, workers, sinks.note_death, sinks.settle_plain, preload)
            self._own(pool, pooled)
        for bound in hosted:
            if bound.verifier.runs is not Placement.PROCESS:
                self._own(self._alone(bound), [bound])

    def _own(self, executor: Executor, hosted: Sequence[BoundVerifier]) -> None:
        self.owned.append(executor)
        self._executors.update({id(bound): executor for bound in hosted})

    def _alone(self, bound: BoundVerifier, code: str = "") -> Executor:
        """An executor for one verifier; one that comes later says which code its workers must have."""
        sinks, runs = self._sinks, bound.verifier.runs
        if runs is Placement.LOOP:
            return LoopExecutor(bound, sinks.settle, sinks.ask)
        if runs is Placement.DEVICE:
            return ProcessExecutor(
                [bound], sinks.settle, 1, sinks.note_death, code=code, note_unusable=self._note_unusable
            )
        return ProcessExecutor(
            [bound], sinks.settle, self._workers, sinks.note_death, sinks.settle_plain, self._preload, code
        )

    def all(self) -> list[BoundVerifier]:
        """Every verifier in every version, by name, the current one of each first."""
        return [
            bound
            for name in sorted(self.current)
            for bound in (self.current[name], *reversed(self.earlier.get(name, [])))
        ]

    def versions(self, name: str) -> list[BoundVerifier]:
        """The versions of a name, the current one first; none where it is not hosted."""
        current = self.current.get(name)
        return [current, *reversed(self.earlier.get(name, []))] if current is not None else []

    def find(self, evaluation: Evaluation) -> BoundVerifier | None:
        """What an evaluation asks for; None where no version that is hosted is the one."""
        for version in self.versions(evaluation.verifier):
            identity = version.identity
            if evaluation.version in ("", identity.version) and evaluation.digest in ("", identity.digest):
                return version
        return None

    def executor(self, hosted: BoundVerifier) -> Executor:
        """What runs a verifier."""
        return self._executors[id(hosted)]

    def _note_unusable(self, reason: str) -> None:
        _log.error("a device can no longer be used: %s", reason)
        self.when_unusable()

    async def start(self) -> None:
        """Make every verifier ready.

        Raises:
            StartupError: What a verifier needs is missing here.
        """
        await asyncio.gather(*(executor.start() for executor in self.owned))

    async def add(self, hosted: BoundVerifier, seconds: float) -> None:
        """Host another verifier, in processes of its own; it becomes the current one of its name.

        Args:
            hosted: The verifier.
            seconds: How long it may take to be ready.

        Raises:
            StartupError: What it needs is missing here.
            TimeoutError: It is not ready in time.
        """
        executor = self._alone(hosted, await asyncio.to_thread(code_digest, hosted.verifier.modules))
        try:
            await asyncio.wait_for(executor.start(), seconds)
        except BaseException:
            await asyncio.shield(executor.close())
            raise
        self._own(executor, [hosted])
        self._make_current(hosted)

    def _make_current(self, hosted: BoundVerifier) -> None:
        name = hosted.identity.name
        if name in self.current:
            self.earlier.setdefault(name, []).append(self.current[name])
        self.current[name] = hosted
        self.revision += 1

    def promote(self, hosted: BoundVerifier) -> None:
        """Make an earlier version the current one of its name."""
        self.earlier[hosted.identity.name].remove(hosted)
        self._make_current(hosted)

    def remove(self, hosted: BoundVerifier) -> None:
        """Host a verifier no more; what runs of it goes on. The latest of the earlier ones becomes current."""
        name = hosted.identity.name
        earlier = self.earlier.get(name, [])
        if hosted is not self.current.get(name):
            earlier.remove(hosted)
        elif earlier:
            self.current[name] = earlier.pop()
        else:
            del self.current[name]
        if not earlier:
            self.earlier.pop(name, None)
        self.revision += 1

    async def release(self, hosted: BoundVerifier) -> None:
        """End what ran a verifier that was removed, unless it runs others as well."""
        executor = self._executors.pop(id(hosted))
        if executor not in self._executors.values():
            self.owned.remove(executor)
            await executor.close()

    async def close(self) -> None:
        """Stop the executors; what is in flight is lost."""
        ends = await asyncio.gather(*(executor.close() for executor in self.owned), return_exceptions=True)
        for error in ends:
            if error is not None:
                _log.error("what runs a verifier has not ended as it should", exc_info=error)

    def pools(self) -> dict[str, tuple[int, int]]:
        """For each pool of workers, how many of them are ready and how many there should be."""
        pools = [executor for executor in self.owned if isinstance(executor, ProcessExecutor)]
        return {pool.name: pool.workers for pool in pools}

    def facts(self) -> dict[str, Any]:
        """What verifiers tell of the host."""
        return {name: value for executor in self.owned for name, value in executor.facts().items()}
