"""`MicroBatcher`: many callers with single rollouts become batches.

A rollout waits at most ``Batching.max_delay_s`` seconds for company, less when a call's worth has gathered. Rollouts of
any thread, loop and recipe come together here; each is answered as soon as it is done itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from trainer_client._batch import Batch, Labels
from trainer_client._errors import ClientClosedError, IncompleteBatchError
from trainer_client._result import RolloutResult, rewards_of, table_of
from trainer_client._rollout import Rollout
from trainer_client._session.sinks import ResultSink, ScoringJob

if TYPE_CHECKING:
    from trainer_client._session.runtime import Runtime


class PendingBatch:
    """Rollouts of one order that travel together, as parallel lists.

    Objects that live as long as a request are what Python's collector walks through, so nothing is made for each
    rollout that need not be.

    Attributes:
        order: what is asked.
        rollouts: what to score.
        sinks: where each result goes.
        tokens: under what name.
        sizes: size of each group of which all rollouts are at hand.
    """

    __slots__ = ("order", "rollouts", "sinks", "sizes", "tokens")

    def __init__(self, order: ScoringJob) -> None:
        self.order = order
        self.rollouts: list[Rollout] = []
        self.sinks: list[ResultSink] = []
        self.tokens: list[Any] = []
        self.sizes: dict[str, int] = {}

    def take(self, rows: Sequence[int]) -> PendingBatch:
        """Some of it."""
        part = PendingBatch(self.order)
        part.rollouts = [self.rollouts[row] for row in rows]
        part.sinks = [self.sinks[row] for row in rows]
        part.tokens = [self.tokens[row] for row in rows]
        part.sizes = self.sizes
        return part


RunBatch: TypeAlias = Callable[[PendingBatch, Callable[[Batch, list[int]], None]], Awaitable[None]]


class MicroBatcher:
    """Gathers rollouts and runs them as batches on a runtime.

    Args:
        runtime: where the batches run.
        items: rollouts times rewards that are enough for a call.
        wait: seconds that a rollout waits for others.
        run: settles a batch, telling which rows are complete.
    """

    def __init__(self, runtime: Runtime, items: int, wait: float, run: RunBatch) -> None:
        self._runtime = runtime
        self._items = items
        self._wait = wait
        self._run = run
        self._lock = threading.Lock()
        self._gathering: dict[tuple[str, Labels], PendingBatch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        runtime.endings.append(partial(_drop, self._gathering))

    def add(
        self, order: ScoringJob, rollouts: Sequence[Rollout], tokens: Sequence[Any], sink: ResultSink, size: int = 0
    ) -> None:
        """Hand over rollouts, from any thread.

        Args:
            order: what is asked.
            rollouts: what to score.
            tokens: names of the results.
            sink: where they go.
            size: size of the group, when they are all of one group; 0 when that is not known.
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
            self._runtime.loop.call_soon_threadsafe(self._flush, work)
        elif not before:
            self._runtime.loop.call_soon_threadsafe(self._runtime.loop.call_later, self._wait, self._flush, work)

    def _flush(self, work: PendingBatch) -> None:
        with self._lock:
            if self._gathering.get(work.order.key) is not work:
                return
            del self._gathering[work.order.key]
        for wave in _waves(work):
            task = self._runtime.loop.create_task(self._settle(wave))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, work: PendingBatch) -> None:
        waiting = bytearray(b"\1") * len(work.rollouts)
        first = work.sinks[0]
        only = first if all(sink is first for sink in work.sinks) else None

        def complete(batch: Batch, rows: list[int]) -> None:
            rewards, aborted = rewards_of(batch, rows)
            results: list[RolloutResult | BaseException] = [
                _aborted(RolloutResult(batch, row, None)) if row in aborted else RolloutResult(batch, row, reward)
                for row, reward in zip(rows, rewards, strict=True)
            ]
            for row in rows:
                waiting[row] = 0
            if only is not None:
                only.deliver([work.tokens[row] for row in rows], results)
            else:
                _distribute(work, rows, results)

        try:
            await self._run(work, complete)
        except (Exception, asyncio.CancelledError) as error:
            rows = [row for row, waits in enumerate(waiting) if waits]
            # Cancelled from outside: only closing the client does that.
            told = ClientClosedError() if isinstance(error, asyncio.CancelledError) else error
            _distribute(work, rows, [told] * len(rows))
            if isinstance(error, asyncio.CancelledError):
                raise


def _distribute(work: PendingBatch, rows: Sequence[int], results: Sequence[RolloutResult | BaseException]) -> None:
    by_post: dict[ResultSink, tuple[list[Any], list[RolloutResult | BaseException]]] = {}
    for row, result in zip(rows, results, strict=True):
        tokens, found = by_post.setdefault(work.sinks[row], ([], []))
        tokens.append(work.tokens[row])
        found.append(result)
    for sink, (tokens, found) in by_post.items():
        sink.deliver(tokens, found)


def _drop(gathering: dict[tuple[str, Labels], PendingBatch]) -> None:
    """Tell those whose rollouts were not sent yet that the client was closed."""
    while gathering:
        _, work = gathering.popitem()
        _distribute(work, range(len(work.rollouts)), [ClientClosedError()] * len(work.rollouts))


def _aborted(scored: RolloutResult) -> IncompleteBatchError:
    return IncompleteBatchError(
        f"{scored.rollout_id!r}: a score is missing under a code that aborts: {scored.codes}",
        table_of([scored]),
    )


def _waves(work: PendingBatch) -> list[PendingBatch]:
    """Batches in which ids are unique and the rollouts of a group have one prompt.

    The rollouts come from callers that know nothing of each other; what does not fit together goes apart.
    """
    left = list(range(len(work.rollouts)))
    waves: list[PendingBatch] = []
    while left:
        wave: list[int] = []
        later: list[int] = []
        seen: set[str] = set()
        prompts: dict[str, Any] = {}
        for row in left:
            rollout = work.rollouts[row]
            prompt = prompts.setdefault(rollout.group_id, rollout.prompt)
            if rollout.rollout_id in seen or (prompt is not rollout.prompt and prompt != rollout.prompt):
                later.append(row)
                continue
            seen.add(rollout.rollout_id)
            wave.append(row)
        if not waves and not later:
            return [work]
        waves.append(work.take(wave))
        left = later
    return waves
