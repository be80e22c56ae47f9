"""Runs ``def`` verifiers and device verifiers in worker processes.

Items travel in chunks and come back one by one. A stuck item costs its own worker: what waits behind it moves to
another. A worker that dies is replaced; the item that it was on is tried once more, alone and on a fresh worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import BaseContext

from reward_servers.core._bound import BoundVerifier, replicate
from reward_servers.core._errors import StartupError
from reward_servers.core._outcomes import Fault, Outcome, Party, Usage
from reward_servers.core._stretch import SettlePlain, Stretch, job_of
from reward_servers.core._verifier import Placement
from reward_servers.core._work import DeathKind, Job, PlainVerdicts, Settle, Unit
from reward_servers.core.executors._batch_queue import BatchQueue
from reward_servers.core.executors._deaths import Cause, after_death, cause_of_death, out_of_memory_kills
from reward_servers.core.executors._fair_queue import FairQueue
from reward_servers.core.executors._fork_server import OwnForkServer
from reward_servers.core.executors._messages import ChunkResults
from reward_servers.core.executors._orders import WorkerSpec
from reward_servers.core.executors._throughput import Throughput
from reward_servers.core.executors._watchdog import Watchdog
from reward_servers.core.executors._worker import KillReason, WorkerProcess
from reward_servers.process.restarts import delay_before

_log = logging.getLogger("assay.server")
_TARGET = 0.02
"""Seconds of work in a chunk, at most: what waits behind a stuck item is not much."""
_SMALLEST = 0.001
"""Seconds of work that are not worth sharing among workers."""
_LARGEST_CHUNK = 64
_LARGEST_BATCH = 4096
_FIRST_GUESS = 0.004
_START_FAILURES = 3


class ProcessExecutor:
    """A pool of worker processes that host the same verifiers."""

    def __init__(
        self,
        hosted: Sequence[BoundVerifier],
        settle: Settle,
        workers: int,
        note_death: Callable[[str, str], None] = lambda pool, kind: None,
        settle_plain: SettlePlain | None = None,
        preload: Sequence[str] = (),
        code: str = "",
        note_unusable: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Take what the workers host.

        Args:
            hosted: The verifiers.
            settle: Takes what becomes of a unit.
            workers: How many workers.
            note_death: Told the pool and the cause when a worker has died.
            settle_plain: Takes plain verdicts of a stretch.
            preload: Modules that workers need in addition to those of the verifiers.
            code: For one verifier that has come later: the digest of its code, which its workers must have. They are
                then forked from a process of their own.
            note_unusable: Told the reason when no worker of a device can be started any more.
        """
        self._hosted = list(hosted)
        self._note_death = note_death
        self._note_unusable = note_unusable
        self._settle = settle
        self._settle_plain = settle_plain
        self._preload = list(preload)
        self._size = workers
        self._device = any(bound.verifier.runs is Placement.DEVICE for bound in hosted)
        self._own: OwnForkServer | None = None
        if code and not self._device:
            verifier = hosted[0].verifier
            self._own = OwnForkServer(verifier.target.__module__, verifier.modules, preload)
        # It is asked by a thread of its own: while it does not answer, other pools go on starting theirs.
        self._starter = ThreadPoolExecutor(1, "starts-workers") if self._own is not None else None
        self._context: BaseContext = self._own or multiprocessing.get_context("spawn" if self._device else "forkserver")
        self._specs = [
            WorkerSpec(bound.verifier.path, bound.settings, bound.limits.cpu_s, bound.limits.memory_bytes, code)
            for bound in hosted
        ]
        self._index = {id(bound): place for place, bound in enumerate(hosted)}
        self._workers: set[WorkerProcess] = set()
        self._throughput = Throughput()
        self._queue: FairQueue | BatchQueue = (
            BatchQueue(self._budget, self._risk, self._longest) if self._device else FairQueue()
        )
        self._retries: deque[Unit] = deque()
        self._item_time: dict[int, float] = {}
        self._start_failures = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._first_ready: asyncio.Future[None] | None = None
        self._watchdog = Watchdog(self._workers, self._take_back)
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Start the workers and wait for the first.

        Raises:
            StartupError: A worker said why it cannot start here.
        """
        if not self._device and self._own is None:
            # Of what is served in a style only the style: code of others may start threads, which no fork survives.
            modules = sorted({bound.verifier.target.__module__ for bound in self._hosted})
            preloaded = [f"reward_servers.core.executors.{module}" for module in ("_worker_main", "_fork_parent")]
            self._context.set_forkserver_preload([*modules, *preloaded, *self._preload])
        self._first_ready = asyncio.get_running_loop().create_future()
        for _ in range(self._size):
            self._spawn(0.0)
        await self._first_ready
        self._watchdog.start()

    def submit(self, units: Sequence[Unit]) -> None:
        """Queue units and hand them to free workers."""
        if isinstance(self._queue, BatchQueue):
            self._submit_in_time(self._queue, units)
        else:
            self._queue.extend(units)
        self._dispatch()

    @property
    def takes_stretches(self) -> bool:
        """Whether rollouts may come as stretches."""
        return not self._device and self._settle_plain is not None

    def submit_stretch(self, stretch: Stretch) -> None:
        """Queue a stretch and hand it to free workers."""
        assert isinstance(self._queue, FairQueue)
        self._queue.add(stretch)
        self._dispatch()

    def _submit_in_time(self, queue: BatchQueue, units: Sequence[Unit]) -> None:
        """Queue what a device can judge before its caller stops waiting, and refuse the rest at once."""
        longest = self._longest()
        chunks = [chunk for worker in self._workers for chunk in worker.chunks]
        running = sum(self._throughput.cost(chunk.pending(), longest) for chunk in chunks)
        for unit in units:
            # A client waits for its own items, and for as much of each of the others.
            own = queue.costs.get(unit.job.client, 0)
            ahead = min(queue.cost, own * max(1, len(queue.costs))) if own else 0
            refusal = self._throughput.refusal(unit, running + ahead, longest)
            if refusal is None:
                queue.extend([unit])
            else:
                self._finish(unit, refusal)

    def _budget(self) -> float:
        """Characters of a batch."""
        return self._throughput.characters(max((worker.batch_tokens for worker in self._workers), default=0))

    def _longest(self) -> float:
        """Characters of the longest text that the device reads."""
        return self._throughput.characters(max((worker.item_tokens for worker in self._workers), default=0))

    def _risk(self) -> float:
        return self._throughput.at_risk(self._budget(), self._hosted[0].verifier.max_batch)

    def abandon(self, units: Sequence[Unit]) -> None:
        """Take queued units of a device off its queue; others are dropped when their turn comes, or by the watchdog."""
        if isinstance(self._queue, BatchQueue):
            self._queue.withdraw(units)

    def expected(self, hosted: BoundVerifier) -> float:
        """Seconds that an item has taken recently."""
        return max(1e-6, self._item_time.get(id(hosted), _FIRST_GUESS))

    @property
    def name(self) -> str:
        """What a report calls this pool."""
        identity = self._hosted[0].identity
        if self._specs[0].code:
            return f"{identity.name}@{identity.version}"
        return identity.name if self._device else "shared"

    @property
    def workers(self) -> tuple[int, int]:
        """How many workers are ready, and how many there should be."""
        return sum(worker.ready for worker in self._workers), self._size

    def facts(self) -> Mapping[str, str]:
        """What the verifiers tell of the host; every worker tells the same."""
        return next((worker.facts for worker in self._workers if worker.ready), {})

    async def close(self) -> None:
        """Kill the workers and wait for their end."""
        self._closing.set()
        self._watchdog.stop()
        if self._own is not None:
            self._own.kill()
        # A start that is under way is let through: cut off in the middle it would leave a process without an owner.
        if self._starting:
            await asyncio.wait(self._starting)
        workers = list(self._workers)
        for worker in workers:
            worker.kill(KillReason.CLOSING)
        await asyncio.gather(*(worker.join() for worker in workers))
        if self._own is not None and self._starter is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._own.close)
            self._starter.shutdown(wait=False)

    # Workers come and go.

    def _spawn(self, delay: float) -> None:
        task = asyncio.get_running_loop().create_task(self._start_worker(delay))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_worker(self, delay: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), delay)
        if self._closing.is_set():
            return
        worker = WorkerProcess(self, self._specs)
        worker.host_kills = out_of_memory_kills()
        self._workers.add(worker)
        try:
            await worker.start(self._context, self._starter)
        except Exception as error:  # noqa: BLE001 - whatever it is, without another try nobody would judge any more
            # The host is short of processes, the process that workers are forked from has died and is started again, or
            # the main module starts servers when it is imported, as every worker does.
            self._workers.discard(worker)
            worker.refusal = f"no process can be started: {error}"
            self._start_failed(worker, None)

    def worker_ready(self, worker: WorkerProcess) -> None:
        """Give a new worker its first chunk."""
        self._start_failures = 0
        self._watchdog.worker_ready(worker)
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)
        self._dispatch()

    def worker_dead(self, worker: WorkerProcess, exit_code: int | None) -> None:
        """Settle the item that the worker was on, move the others, and start a replacement."""
        self._workers.discard(worker)
        self._watchdog.worker_dead(worker)
        if self._closing.is_set():
            return
        pending = [unit for chunk in worker.chunks for unit in chunk.pending()]
        if worker.refusal or not worker.introduced:
            self._start_failed(worker, exit_code)
            return
        # A worker that has not begun, or has spoiled what says so, was about to begin the first of them.
        cause = cause_of_death(worker, exit_code)
        begun = worker.current if not cause.between else None
        suspects = [begun] if begun is not None else []
        if begun is not None and self._device:
            # Of a batch it cannot be said which item it was: each is tried alone.
            suspects = next(chunk.pending() for chunk in worker.chunks if chunk.place(begun) >= 0)
        for unit in reversed(pending):
            if unit not in suspects:
                self._queue.push_front(unit)
        self._note_death(self.name, cause.label)
        if cause.between:
            _log.warning("a worker of the pool %s is replaced: %s", self.name, cause)
        for unit in suspects:
            self._after_death(unit, cause, alone=len(suspects) == 1)
        self._spawn(0.0)
        self._dispatch()

    def _start_failed(self, worker: WorkerProcess, exit_code: int | None) -> None:
        reason = worker.refusal or f"a worker ended with exit code {exit_code} before it was ready"
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_exception(StartupError(reason))
            return
        if self._closing.is_set():
            return
        self._start_failures += 1
        _log.error("a worker could not start: %s", reason)
        if self._start_failures >= _START_FAILURES and not any(worker.ready for worker in self._workers):
            fault = Fault(Party.SERVICE, "workers_unavailable", reason, retryable=True, retry_after=5.0)
            while units := self._queue.take(self._chunk_size):
                for unit in units:
                    self._finish(unit, fault)
            while self._device and self._retries:
                self._finish(self._retries.popleft(), fault)
            if self._device:
                self._note_unusable(reason)
        self._spawn(delay_before(self._start_failures, 0.1, 5.0))

    def _after_death(self, unit: Unit, cause: Cause, *, alone: bool) -> None:
        """Settle the item that a worker died on, or try it once more, alone and on a fresh worker."""
        if unit.settled:
            return
        outcome = after_death(unit, cause, on_device=self._device) if alone else None
        if outcome is not None:
            self._finish(unit, outcome)
            return
        _log.warning("a worker of %s died (%s); its item is tried again alone", unit.job.hosted.identity.name, cause)
        unit.deaths.append(cause.kind if alone else DeathKind.SHARED)
        self._retries.append(unit)

    # Work is handed out and comes back.

    def _dispatch(self) -> None:
        for worker in sorted(self._workers, key=lambda w: len(w.chunks)):
            if not worker.ready:
                continue
            while self._retries and not worker.chunks and (self._device or not worker.finished_items):
                unit = self._retries.popleft()
                if not unit.settled:
                    worker.stalled = True
                    worker.send(self._index[id(unit.job.hosted)], [unit])
            while self._queue and self._has_room(worker):
                units = self._queue.take(self._chunk_size)
                if not units:
                    return
                worker.send(self._index[id(job_of(units).hosted)], units)

    def _has_room(self, worker: WorkerProcess) -> bool:
        """One chunk runs and one waits, unless the running one is slow: then others should take what waits."""
        if self._device:
            # The next batch is prepared while this one runs, unless a worker has died on this one.
            return len(worker.chunks) < 2 and not any(unit.deaths for chunk in worker.chunks for unit in chunk.units)
        if worker.stalled or len(worker.chunks) >= 2:
            return False
        if not worker.chunks:
            return True
        return self.expected(worker.chunks[0].job.hosted) < _TARGET

    def _chunk_size(self, job: Job) -> int:
        if self._device:
            return min(job.hosted.verifier.max_batch, _LARGEST_BATCH)
        expected = self.expected(job.hosted)
        fair = math.ceil(len(self._queue) / self._size)
        return max(1, min(_LARGEST_CHUNK, int(_TARGET / expected), max(fair, int(_SMALLEST / expected))))

    def worker_result(
        self, unit: Unit, outcomes: Sequence[Outcome], run_us: int, usage: Usage | None, now: float
    ) -> None:
        """Settle a unit."""
        job = unit.job
        key, seconds = id(job.hosted), run_us * 1e-6
        self._item_time[key] = 0.9 * self._item_time.get(key, seconds) + 0.1 * seconds
        if self._device:
            self._throughput.note(unit, seconds, usage.input_tokens if usage is not None else 0)
        queue_us = int((now - job.queued_at) * 1e6) - run_us
        self._settle(unit, outcomes, queue_us if queue_us > 0 else 0, run_us, usage)

    def worker_verdicts(self, stretch: Stretch, first: int, results: ChunkResults, now: float) -> None:
        """Settle rollouts of a stretch."""
        assert self._settle_plain is not None
        job, count = stretch.job, len(results.places)
        key, seconds = id(job.hosted), sum(results.run_us) / count * 1e-6
        weight = 0.9**count
        self._item_time[key] = weight * self._item_time.get(key, seconds) + (1.0 - weight) * seconds
        waited = int((now - job.queued_at) * 1e6)
        queue_us = [waited - run_us if run_us < waited else 0 for run_us in results.run_us]
        positions = stretch.positions[first : first + count]
        verdicts = PlainVerdicts(positions, results.scores, results.codes, queue_us, results.run_us, results.cpu_us)
        self._settle_plain(stretch, first, verdicts)

    def worker_free(self, worker: WorkerProcess) -> None:
        """Keep a worker busy that has finished some items."""
        if len(worker.chunks) < 2 and (self._queue or self._retries):
            self._dispatch()

    def _take_back(self, units: Sequence[Unit]) -> None:
        """Queue again what waited behind a stuck item."""
        for unit in reversed(units):
            if not unit.settled:
                self._queue.push_front(unit)
        self._dispatch()

    def _finish(self, unit: Unit, outcome: Outcome) -> None:
        run_us = int((time.perf_counter() - unit.job.queued_at) * 1e6)
        self._settle(unit, replicate(unit.subject, outcome), 0, run_us, None)
