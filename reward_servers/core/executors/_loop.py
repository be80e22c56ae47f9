"""Runs ``async def`` verifiers on the event loop: many items wait on a network side by side.

Runners take items from one queue. They are started one at a time and doubled while items keep waiting, so that a
verifier that never really waits costs one task for a whole batch and not one for each item.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Mapping, Sequence

from reward_servers.core._context import Ask
from reward_servers.core._hosted import Hosted, Instance, outcome_of, spread
from reward_servers.core._outcomes import Fault, Outcome, Party
from reward_servers.core._work import Settle, Unit
from reward_servers.core.executors._fair_queue import FairQueue

__all__ = ["LoopExecutor"]

_log = logging.getLogger("assay.server")
_TURN = 0.002
_TICK = 0.05


class LoopExecutor:
    """Runs the items of one verifier on the loop, up to its concurrency."""

    def __init__(self, hosted: Hosted, settle: Settle, ask: Ask) -> None:
        self._hosted = hosted
        self._settle = settle
        self._ask = ask
        self._queue = FairQueue()
        self._runners: set[asyncio.Task[None]] = set()
        self._running: dict[Unit, tuple[asyncio.Task[None], float]] = {}
        self._stopped: dict[Unit, Fault | None] = {}
        self._instance: Instance | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._growing = False
        self._active = 0

    async def start(self) -> None:
        """Sets the verifier up."""
        self._instance = Instance(self._hosted.verifier, self._hosted.settings)

    def submit(self, units: Sequence[Unit]) -> None:
        """Queues units and sees that runners take them."""
        self._queue.extend(units)
        self._grow()

    def abandon(self, unit: Unit) -> None:
        """Cancels the item's coroutine, which closes its upstream call."""
        if unit in self._running:
            self._stop(unit, None)

    def expected(self, hosted: Hosted) -> float:
        """An item waits for others, who knows how long."""
        return math.inf

    def facts(self) -> Mapping[str, str]:
        """What the verifier tells of the host."""
        return self._instance.facts() if self._instance is not None else {}

    async def close(self) -> None:
        """Cancels what still runs and releases the verifier."""
        if self._watch is not None:
            self._watch.cancel()
        for task in list(self._runners):
            task.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        if self._instance is not None:
            closing = self._instance.close()
            if inspect.isawaitable(closing):
                await closing

    def _grow(self) -> None:
        """Adds runners while items wait and every runner is inside an item, as many again each time."""
        self._growing = False
        assert self._instance is not None
        room = self._instance.concurrency - self._active
        if not len(self._queue) or room <= 0:
            return
        if self._active == len(self._running):
            for _ in range(min(len(self._queue), room, max(1, self._active))):
                self._add_runner()
        if not self._growing:
            self._growing = True
            asyncio.get_running_loop().call_soon(self._grow)

    def _add_runner(self) -> None:
        self._active += 1
        task = asyncio.get_running_loop().create_task(self._run())
        self._runners.add(task)
        task.add_done_callback(self._runner_done)

    def _runner_done(self, task: asyncio.Task[None]) -> None:
        self._runners.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a runner of %s failed", self._hosted.identity.name, exc_info=error)

    async def _run(self) -> None:
        task, instance = asyncio.current_task(), self._instance
        assert task is not None
        assert instance is not None
        if self._watch is None:
            self._schedule_watch()
        try:
            turn_ends = time.perf_counter() + _TURN
            while (unit := self._queue.pop()) is not None:
                ended = await self._run_unit(unit, task, instance)
                if ended > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.perf_counter() + _TURN
        finally:
            self._active -= 1

    async def _run_unit(self, unit: Unit, task: asyncio.Task[None], instance: Instance) -> float:
        """Runs one unit and settles it; when it ended, on the performance counter."""
        started = time.perf_counter()
        context = instance.context(unit.subject, unit.seed, unit.deadline, self._ask)
        self._running[unit] = (task, started)
        outcomes: Sequence[Outcome]
        try:
            arguments = instance.arguments(unit.subject, unit.options, context)
            if isinstance(arguments, Fault):
                outcomes = spread(unit.subject, arguments)
            else:
                outcomes = instance.settle(await instance.function(*arguments), unit.subject, context)
        except asyncio.CancelledError:
            if unit not in self._stopped or task.uncancel() > 0:
                raise
            fault = self._stopped.pop(unit)
            if fault is None:
                return time.perf_counter()
            outcomes = spread(unit.subject, fault)
        except Exception as error:  # noqa: BLE001 - whatever a verifier raises becomes the item's typed outcome
            outcomes = spread(unit.subject, outcome_of(error, self._hosted.verifier))
        finally:
            del self._running[unit]
        if self._stopped and unit in self._stopped:
            # It finished while its cancellation was on the way: let that arrive here and not in the next item.
            del self._stopped[unit]
            await self._absorb_cancellation()
        ended = time.perf_counter()
        queue_us, run_us = int((started - unit.queued_at) * 1e6), int((ended - started) * 1e6)
        self._settle(unit, outcomes, queue_us, run_us, context.usage if context is not None else None)
        return ended

    @staticmethod
    async def _absorb_cancellation() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if task.uncancel() > 0:
                raise

    def _stop(self, unit: Unit, fault: Fault | None) -> None:
        if unit not in self._stopped:
            self._stopped[unit] = fault
            self._running[unit][0].cancel()

    def _schedule_watch(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(_TICK, self._check_walls)

    def _check_walls(self) -> None:
        self._watch = None
        limit = self._hosted.limits.wall
        now = time.perf_counter()
        for unit, (_, started) in list(self._running.items()):
            if now - started > limit:
                message = f"{self._hosted.identity.name} did not answer within {limit:g} s"
                self._stop(unit, Fault(Party.SERVICE, "wall_limit", message))
        if self._active:
            self._schedule_watch()
