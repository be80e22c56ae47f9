"""`MicroBatcher`: many callers with single rollouts become batches.

Batches leave ``Batching.max_delay_s`` seconds apart, earlier when a call's worth has gathered or nothing is under way:
a lone rollout leaves at once, and one that comes among many waits that long at most. Rollouts of any thread, loop and
recipe come together here; each is answered as soon as it is done itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from trainer_client._errors import ClientClosedError, RewardError
from trainer_client._session.sinks import JobKey, ResultSink, ScoringJob
from trainer_client.result.batch import Batch
from trainer_client.result.rollout_result import RolloutResult, rewards_of, table_of
from trainer_client.result.table import IncompleteBatchError
from trainer_client.rollout.types import Rollout

_SWEEP_DELAY = 0.05
"""Seconds in which cancellations gather before calls are ended for them."""


class PendingBatch:
    """Rollouts of one job that travel together, as parallel lists.

    Objects that live as long as a request are what Python's collector walks through, so nothing is made for each
    rollout that need not be.

    Attributes:
        order: the recipe and the labels.
        rollouts: what to score.
        sinks: where each result goes.
        tokens: the key under which each sink expects its result.
        sizes: size of each group of which all rollouts are here.
        batch: the batch that it has become; None before.
    """

    __slots__ = ("_open", "batch", "order", "rollouts", "sinks", "sizes", "tokens")

    def __init__(self, order: ScoringJob) -> None:
        self.order = order
        self.rollouts: list[Rollout] = []
        self.sinks: list[ResultSink] = []
        self.tokens: list[Any] = []
        self.sizes: dict[str, int] = {}
        self.batch: Batch | None = None
        self._open = bytearray()

    def take(self, rows: Sequence[int]) -> PendingBatch:
        """A part of the batch."""
        part = PendingBatch(self.order)
        part.rollouts = [self.rollouts[row] for row in rows]
        part.sinks = [self.sinks[row] for row in rows]
        part.tokens = [self.tokens[row] for row in rows]
        part.sizes = self.sizes
        return part

    def begin(self, batch: Batch) -> None:
        """It has become a batch."""
        self.batch = batch
        self._open = bytearray(b"\1") * len(self.rollouts)

    def complete(self, rows: Sequence[int]) -> None:
        """Answer the sinks of rows that are done."""
        batch = self.batch
        assert batch is not None
        for row in rows:
            self._open[row] = 0
        rewards, aborted = rewards_of(batch, rows)
        results: list[RolloutResult | BaseException] = [
            _aborted(RolloutResult(batch, row, None)) if row in aborted else RolloutResult(batch, row, reward)
            for row, reward in zip(rows, rewards, strict=True)
        ]
        self.answer(rows, results)

    def fail(self, error: BaseException) -> None:
        """Tell an error to all who still wait."""
        rows = [row for row in range(len(self.rollouts)) if not self._open or self._open[row]]
        self.answer(rows, [error] * len(rows))

    def answer(self, rows: Sequence[int], results: Sequence[RolloutResult | BaseException]) -> None:
        """Hand results to their sinks, all results of a sink at once."""
        by_sink: dict[ResultSink, tuple[list[Any], list[RolloutResult | BaseException]]] = {}
        last: ResultSink | None = None
        for row, result in zip(rows, results, strict=True):
            sink = self.sinks[row]
            if sink is not last:
                last = sink
                tokens, sink_results = by_sink.setdefault(sink, ([], []))
            tokens.append(self.tokens[row])
            sink_results.append(result)
        for sink, (tokens, sink_results) in by_sink.items():
            sink.deliver(tokens, sink_results)

    def awaited_rows(self) -> list[int]:
        """Rows that some one waits for."""
        return [row for row, sink in enumerate(self.sinks) if not sink.is_abandoned(self.tokens[row])]

    @property
    def is_under_way(self) -> bool:
        """Whether some row is not answered yet."""
        return self.batch is None or 1 in self._open

    def sweep(self) -> None:
        """Give up rows that no one waits for any more."""
        if self.batch is not None:
            rows = [row for row, open_ in enumerate(self._open) if open_ and self._is_abandoned(row)]
            if rows:
                self.batch.abandon(rows)

    def _is_abandoned(self, row: int) -> bool:
        return self.sinks[row].is_abandoned(self.tokens[row])


RunBatch: TypeAlias = Callable[[PendingBatch], Awaitable[None]]


class MicroBatcher:
    """Gathers rollouts and runs them as batches on a loop.

    Args:
        loop: where the batches run.
        endings: functions that are called when the client is closed.
        items: rollouts times rewards that are enough for a call.
        wait: seconds between batches, which a rollout waits at most.
        run: settles a batch.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endings: list[Callable[[], None]],
        items: int,
        wait: float,
        run: RunBatch,
    ) -> None:
        self._loop = loop
        self._items = items
        self._wait = wait
        self._run = run
        self._lock = threading.Lock()
        self._gathering: dict[JobKey, PendingBatch] = {}
        self._running: dict[asyncio.Task[None], PendingBatch] = {}
        self._sweep_is_due = False
        self._left = -math.inf
        endings.append(partial(_drop, self._gathering))

    def add(
        self, order: ScoringJob, rollouts: Sequence[Rollout], tokens: Sequence[Any], sink: ResultSink, size: int = 0
    ) -> None:
        """Hand over rollouts, from any thread.

        Args:
            order: the recipe and the labels.
            rollouts: what to score.
            tokens: names of the results.
            sink: where they go.
            size: size of the group if all rollouts are of one group; 0 if it is not known.
        """
        key = order.key
        with self._lock:
            work = self._gathering.get(key)
            if work is None:
                work = self._gathering[key] = PendingBatch(order)
            before = len(work.rollouts)
            work.rollouts += rollouts
            work.tokens += tokens
            work.sinks += [sink] * len(rollouts)
            if size:
                work.sizes[rollouts[0].group_id] = size
            after = len(work.rollouts)
        full = max(1, self._items // len(order.recipe.rewards))
        if before < full <= after:
            self._loop.call_soon_threadsafe(self._flush, work)
        elif not before:
            self._loop.call_soon_threadsafe(self._flush_in_time, work)

    def abandoned(self) -> None:
        """Someone has stopped waiting: find out for what, from any thread, once for many."""
        if not self._sweep_is_due:
            self._sweep_is_due = True
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._loop.call_later, _SWEEP_DELAY, self._sweep)

    def _sweep(self) -> None:
        self._sweep_is_due = False
        for work in list(self._running.values()):
            work.sweep()

    def _flush_in_time(self, work: PendingBatch) -> None:
        wait = self._left + self._wait - self._loop.time()
        if wait > 0 and any(running.is_under_way for running in self._running.values()):
            self._loop.call_later(wait, self._flush, work)
        else:
            self._flush(work)

    def _flush(self, work: PendingBatch) -> None:
        with self._lock:
            if self._gathering.get(work.order.key) is not work:
                return
            del self._gathering[work.order.key]
        self._left = self._loop.time()
        for wave in _waves(work, work.awaited_rows()):
            task = self._loop.create_task(self._settle(wave))
            self._running[task] = wave
            task.add_done_callback(self._running.pop)

    async def _settle(self, work: PendingBatch) -> None:
        try:
            await self._run(work)
        except RewardError as error:
            # Raised by futures that this frame knows: with its traceback it would be a circle. Its words say it all.
            work.fail(error.with_traceback(None))
        except Exception as error:  # noqa: BLE001 (raised where the results are read)
            work.fail(error)
        except asyncio.CancelledError:
            # From outside: only closing the client does that.
            work.fail(ClientClosedError())
            raise


def _drop(gathering: dict[JobKey, PendingBatch]) -> None:
    """Fail the rollouts that were not sent yet: the client was closed."""
    while gathering:
        _, work = gathering.popitem()
        work.fail(ClientClosedError())


def _aborted(scored: RolloutResult) -> IncompleteBatchError:
    return IncompleteBatchError(
        f"{scored.rollout_id!r}: a score is missing under a code that aborts: {scored.codes}",
        table_of([scored]),
    )


def _waves(work: PendingBatch, rows: Sequence[int]) -> list[PendingBatch]:
    """Batches in which ids are unique and the rollouts of a group have one prompt.

    The rollouts come from independent callers. Rollouts that do not fit together go into separate batches.
    """
    left = list(rows)
    waves: list[PendingBatch] = []
    while left:
        wave: list[int] = []
        later: list[int] = []
        ids: set[str] = set()
        prompts: dict[str, Any] = {}
        for row in left:
            rollout = work.rollouts[row]
            prompt = prompts.setdefault(rollout.group_id, rollout.prompt)
            if rollout.rollout_id in ids or (prompt is not rollout.prompt and prompt != rollout.prompt):
                later.append(row)
                continue
            ids.add(rollout.rollout_id)
            wave.append(row)
        if len(wave) == len(work.rollouts):
            return [work]
        waves.append(work.take(wave))
        left = later
    return waves
