"""Runs ``async def`` verifiers on the event loop: many items wait on a network side by side.

Runners take items from one queue. They are started one at a time and doubled while items keep waiting, so that a
verifier that never really waits costs one task for a whole batch and not one for each item.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reward_servers.core._bound import BoundVerifier, Instance, outcome_of, replicate
from reward_servers.core._context import Ask
from reward_servers.core._model import Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Verdict, default_codes, plain_score
from reward_servers.core._stretch import Stretch
from reward_servers.core._verifier import Cost, Role
from reward_servers.core._work import Job, Settle, Unit
from reward_servers.core.executors._fair_queue import FairQueue
from reward_servers.core.executors._loop_budget import InlineOutcomes, LoopBudget

_log = logging.getLogger("assay.server")
_TURN = 0.002
_TURN_NS = int(_TURN * 1e9)
_LONGEST_TURN_NS = 10 * _TURN_NS
"""Time after which a turn is over even if little of it was computing, since the processor was another's."""
_TICK = 0.05
_PAUSE = 0.5
"""Seconds beyond a tick after which the loop stood still: this process was stopped or starved, or something held it."""
_GRACE = 1.0
"""Seconds in which a coroutine ends that has been cancelled; one that takes longer has swallowed it."""
_LONGEST_CLOSE = 10.0
"""Seconds in which a verifier closes its connections."""


@dataclass(slots=True, eq=False)
class _Runner:
    """A task that takes items one after another, and what it is on.

    Attributes:
        unit: The item; None between items.
        started: When it took the item, on the performance counter.
        stopped: When the item's coroutine was cancelled; None when it was not.
        fault: What the item is then settled with; None when no call waits for it.
        lost: Whether the coroutine goes on all the same, and the runner's place is another's.
        excused: Seconds since it took the item in which the loop stood still.
        task: The task.
    """

    unit: Unit | None = None
    started: float = 0.0
    stopped: float | None = None
    fault: Fault | None = None
    lost: bool = False
    excused: float = 0.0
    task: asyncio.Task[None] | None = None


class LoopExecutor:
    """Runs the items of one verifier on the loop, up to its concurrency."""

    def __init__(self, hosted: BoundVerifier, settle: Settle, ask: Ask) -> None:
        self._hosted = hosted
        self._settle = settle
        self._ask = ask
        self._queue = FairQueue()
        self._runners: dict[asyncio.Task[None], _Runner] = {}
        self._instance: Instance | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._looked = 0.0
        self._growing = False
        self._closing = False
        self._active = 0
        self._loop_budget = LoopBudget(self._judge_turn)
        verifier = hosted.verifier
        self._may_be_quick = (
            verifier.cost is Cost.TRIVIAL and verifier.scope == "rollout" and Role.CONTEXT not in verifier.roles
        )

    async def start(self) -> None:
        """Set the verifier up."""
        self._instance = Instance(self._hosted.verifier, self._hosted.settings)

    def submit(self, units: Sequence[Unit]) -> None:
        """Queue units and sees that runners take them."""
        self._queue.extend(units)
        self._grow()

    @property
    def is_quick(self) -> bool:
        """Whether items can be judged at once: the verifier says that it costs nothing, and none waits."""
        return self._may_be_quick and not self._queue

    def judge_in_turn(self, stretch: Stretch) -> None:
        """Judge a stretch now, or behind those that wait for their turn, and tell its call."""
        if self._loop_budget:
            self._loop_budget.add(stretch)
        else:
            self._judge_turn(stretch)

    def _judge_turn(self, stretch: Stretch) -> None:
        """Judge as much of a stretch as a turn may take; what is left waits for another."""
        if self._may_be_quick:
            rollouts = [stretch.rollout(place) for place in range(len(stretch))]
            at_once = self.judge_at_once(stretch.job, rollouts, details=stretch.call.details)
            at_once.tell(stretch)
            stretch.cut(at_once.done)
        if not stretch or stretch.call.ended:
            return
        if self._may_be_quick:
            self._loop_budget.add(stretch)
        else:
            self.submit(list(stretch))

    def judge_at_once(self, job: Job, rollouts: Sequence[Rollout], *, details: bool = True) -> InlineOutcomes:
        """Judge items one after the other without a task, for as long as a turn of the loop may take.

        Args:
            job: What is asked about them.
            rollouts: The items.
            details: Whether more of a verdict is wanted than its score and its code.

        Returns:
            What became of them. Where fewer are done than were given, the rest must be queued: the turn is over, or the
            verifier waits for something, and is never judged in this way again.
        """
        at_once = InlineOutcomes()
        judging = self._judge_one_by_one(job, rollouts, at_once, details)
        try:
            judging.send(None)
        except StopIteration:
            pass
        else:
            self._may_be_quick = False
            at_once.left = True
            judging.close()
        verifier = self._hosted.verifier
        at_once.codes = default_codes(at_once.scores, verifier.low, verifier.high)
        for place, code in at_once.own_codes.items():
            at_once.codes[place] = code
        return at_once

    async def _judge_one_by_one(
        self, job: Job, rollouts: Sequence[Rollout], at_once: InlineOutcomes, details: bool
    ) -> None:
        """Judge items until all are done or the turn is over. Wait only where the verifier does."""
        instance, verifier = self._instance, self._hosted.verifier
        assert instance is not None
        function, low, high, alone = instance.function, verifier.low, verifier.high, instance.takes_subject_alone
        clock, note_score, note_time = time.perf_counter_ns, at_once.scores.append, at_once.run_us.append
        computed = time.thread_time_ns()
        started = clock()
        turn_ends, last_end = started + _TURN_NS, started + _LONGEST_TURN_NS
        for rank, rollout in enumerate(rollouts):
            outcome: Outcome | None
            score: float | None = None
            try:
                arguments: Sequence[object] | Fault
                arguments = (rollout,) if alone else instance.arguments(rollout, job.options, None)
                if isinstance(arguments, Fault):
                    outcome = arguments
                else:
                    returned = await function(*arguments)
                    # What `plain_score` says of such a float, without the call.
                    plain = type(returned) is float and low <= returned <= high
                    score = returned if plain else plain_score(returned, low, high)
                    outcome = None if score is not None else instance.verdict(returned, details=details)
                    if not details and type(outcome) is Verdict:
                        at_once.own_codes[len(at_once.scores)] = outcome.code
                        score, outcome = outcome.score, None
            except BaseException as error:
                if at_once.left:
                    raise  # the coroutine is thrown away
                outcome = outcome_of(error, verifier)
            ended = clock()
            if outcome is None and score is not None:
                note_score(score)
                note_time((ended - started) // 1000)
            elif outcome is not None:
                at_once.others.append((rank, outcome, (ended - started) // 1000))
            at_once.done = rank + 1
            if ended > turn_ends:
                left = _TURN_NS - (time.thread_time_ns() - computed)
                if left <= 0 or ended > last_end:
                    break
                turn_ends = ended + left
            started = ended

    def abandon(self, units: Sequence[Unit]) -> None:
        """Cancel the coroutines of items that run, which closes their upstream calls."""
        abandoned = set(units)
        for runner in self._runners.values():
            if runner.unit in abandoned:
                self._stop(runner, None)

    def expected(self, hosted: BoundVerifier) -> float:
        """An item waits for others, who knows how long."""
        return math.inf

    def facts(self) -> Mapping[str, str]:
        """What the verifier tells of the host."""
        return self._instance.facts() if self._instance is not None else {}

    async def close(self) -> None:
        """Cancel what still runs and release the verifier."""
        self._closing = True
        if self._watch is not None:
            self._watch.cancel()
        for task in list(self._runners):
            task.cancel()
        if self._runners:
            await asyncio.wait(list(self._runners), timeout=_GRACE)
        if self._instance is not None:
            await self._release(self._instance)

    async def _release(self, instance: Instance) -> None:
        """Let the verifier give back what it holds. What is wrong with that is its own affair: the server goes on."""
        name = self._hosted.identity.name
        try:
            closing = instance.close()
        except Exception:  # noqa: BLE001 - code of others
            _log.exception("close of %s has failed", name)
            return
        if not inspect.isawaitable(closing):
            return
        task = asyncio.ensure_future(closing)
        await asyncio.wait([task], timeout=_LONGEST_CLOSE)
        if not task.done():
            task.cancel()
            _log.error("close of %s has not ended within %g s; it is left", name, _LONGEST_CLOSE)
        elif not task.cancelled() and (error := task.exception()) is not None:
            _log.error("close of %s has failed", name, exc_info=error)

    def _grow(self) -> None:
        """Add runners while items wait and every runner is inside an item, as many again each time."""
        self._growing = False
        assert self._instance is not None
        room = self._instance.concurrency - self._active
        if not self._queue or room <= 0:
            return
        if all(runner.unit is not None for runner in self._runners.values()):
            for _ in range(min(len(self._queue), room, max(1, self._active))):
                self._add_runner()
        if not self._growing:
            self._growing = True
            asyncio.get_running_loop().call_soon(self._grow)

    def _add_runner(self) -> None:
        self._active += 1
        runner = _Runner()
        task = runner.task = asyncio.get_running_loop().create_task(self._run(runner))
        self._runners[task] = runner
        task.add_done_callback(self._runner_done)

    def _runner_done(self, task: asyncio.Task[None]) -> None:
        del self._runners[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a runner of %s failed", self._hosted.identity.name, exc_info=error)

    async def _run(self, runner: _Runner) -> None:
        assert self._instance is not None
        if self._watch is None:
            self._schedule_watch()
        try:
            await self._take_turns(runner, self._instance)
        finally:
            if not runner.lost:
                self._active -= 1

    async def _take_turns(self, runner: _Runner, instance: Instance) -> None:
        """Run and settle items until none waits. A verifier that never waits gives others a turn all the same."""
        ended = time.perf_counter()
        turn_ends = ended + _TURN
        while (unit := self._queue.pop()) is not None:
            started = runner.started = ended
            runner.unit, runner.excused = unit, 0.0
            job, subject = unit.job, unit.subject
            context = instance.context(subject, job.seed, job.deadline, self._ask)
            outcomes: Sequence[Outcome] | None
            try:
                arguments = instance.arguments(subject, job.options, context)
                if isinstance(arguments, Fault):
                    outcomes = replicate(subject, arguments)
                else:
                    outcomes = instance.settle(await instance.function(*arguments), subject, context)
            except asyncio.CancelledError as error:
                outcomes = self._interrupted(runner, unit, error)
            except BaseException as error:
                if isinstance(error, GeneratorExit) and not _is_running(runner.task):
                    raise  # the coroutine is thrown away
                outcomes = replicate(subject, outcome_of(error, self._hosted.verifier))
            finally:
                runner.unit = None
            if runner.lost:
                return
            if runner.stopped is not None:
                await self._absorb_cancellation(runner)
            ended = time.perf_counter()
            if outcomes is not None:
                usage = context.spent() if context is not None else None
                unit.elsewhere = context is not None and context.elsewhere
                queue_us, run_us = int((started - job.queued_at) * 1e6), int((ended - started) * 1e6)
                self._settle(unit, outcomes, queue_us, run_us, usage)
            if ended > turn_ends:
                await asyncio.sleep(0)
                ended = time.perf_counter()
                turn_ends = ended + _TURN

    def _interrupted(self, runner: _Runner, unit: Unit, error: asyncio.CancelledError) -> Sequence[Outcome] | None:
        """What becomes of an item whose coroutine was cancelled, or says that something which it awaits was.

        Raises:
            CancelledError: It was the runner itself that was cancelled.
        """
        assert runner.task is not None
        if not runner.task.cancelling():
            return replicate(unit.subject, outcome_of(error, self._hosted.verifier))
        if runner.stopped is None and not self._closing:
            # Code of the verifier has cancelled the task that it runs in.
            while runner.task.uncancel() > 0:
                pass
            return replicate(unit.subject, outcome_of(error, self._hosted.verifier))
        if runner.stopped is None or runner.task.uncancel() > 0:
            raise asyncio.CancelledError
        runner.stopped = None
        return None if runner.fault is None else replicate(unit.subject, runner.fault)

    @staticmethod
    async def _absorb_cancellation(runner: _Runner) -> None:
        """Its item finished while the cancellation was on the way: lets it arrive here and not in the next item."""
        runner.stopped = None
        assert runner.task is not None
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        if runner.task.uncancel() > 0:
            raise asyncio.CancelledError

    @staticmethod
    def _stop(runner: _Runner, fault: Fault | None) -> None:
        if runner.stopped is None and runner.task is not None:
            runner.stopped, runner.fault = time.perf_counter(), fault
            runner.task.cancel()

    def _give_up(self, runner: _Runner, unit: Unit) -> None:
        """Settle an item whose coroutine swallowed its cancellation; another runner takes the place of its own."""
        _log.error(
            "%s goes on with an item after its cancellation; let CancelledError pass", unit.job.hosted.identity.name
        )
        runner.lost = True
        self._active -= 1
        if runner.fault is not None:
            run_us = int((time.perf_counter() - runner.started) * 1e6)
            queue_us = int((runner.started - unit.job.queued_at) * 1e6)
            self._settle(unit, replicate(unit.subject, runner.fault), queue_us, run_us, None)
        self._grow()

    def _schedule_watch(self) -> None:
        self._looked = time.perf_counter()
        self._watch = asyncio.get_running_loop().call_later(_TICK, self._check_walls)

    def _check_walls(self) -> None:
        self._watch = None
        limit = self._hosted.limits.wall_s
        now = time.perf_counter()
        pause = now - self._looked - _TICK
        for runner in list(self._runners.values()):
            if runner.unit is None or runner.lost:
                continue
            if pause > _PAUSE:
                # No coroutine could go on meanwhile: that time is no item's, nor that of one that is to end.
                runner.excused += min(pause, now - runner.started)
                if runner.stopped is not None:
                    runner.stopped += min(pause, now - runner.stopped)
            if now - runner.started - runner.excused > limit:
                message = f"{self._hosted.identity.name} did not answer within {limit:g} s"
                self._stop(runner, Fault(Party.SERVICE, "wall_limit", message))
            if runner.stopped is not None and now - runner.stopped > _GRACE:
                self._give_up(runner, runner.unit)
        if self._active:
            self._schedule_watch()


def _is_running(task: asyncio.Task[None] | None) -> bool:
    """Whether this is called from within a task."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False
