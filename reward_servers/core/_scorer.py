"""The heart of a server: requests in, one result for each rollout and evaluation out.

It plans a request, answers what is known, joins what is in flight, and hands the rest to executors. It knows nothing of
any transport.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from reward_servers.core._admission import Admission, Reservation, ServerLimits
from reward_servers.core._bound import BoundVerifier, limit_verdict
from reward_servers.core._cache import VerdictCache
from reward_servers.core._call import Call, Deliver, DeliverPlain
from reward_servers.core._compose import Composer, Remotes
from reward_servers.core._errors import OverloadedError
from reward_servers.core._hosting import Hosting, Sinks
from reward_servers.core._in_flight import InFlight
from reward_servers.core._lengths import longer
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Skip, SkipReason, Usage, Verdict
from reward_servers.core._plan import Planner
from reward_servers.core._stats import SlowItem, Stats
from reward_servers.core._stretch import ListSource, Stretch
from reward_servers.core._work import Executor, Job, PlainVerdicts, Request, Result, Source, Unit
from reward_servers.core.executors import LoopExecutor, ProcessExecutor

_SLOW_US = 50_000
"""Microseconds below which no item is told as slow."""


class Scorer:
    """Hosts verifiers and judges requests.

    Attributes:
        limits: Bounds of calls and of the server.
        hosting: What is hosted, and what runs it.
        hosted: Of that, what callers get that pin no version, by name.
    """

    def __init__(
        self,
        hosted: Sequence[BoundVerifier],
        limits: ServerLimits | None = None,
        *,
        workers: int = 1,
        remotes: Remotes | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        """Take what is hosted.

        Args:
            hosted: The verifiers.
            limits: Bounds of calls and of the server; None for the usual ones.
            workers: Worker processes of the shared pool.
            remotes: Where verifiers of other servers are asked.
            preload: Modules that workers need in addition to those of the verifiers.
        """
        self.limits = limits or ServerLimits()
        self.admission = Admission(self.limits)
        self.cache = VerdictCache(self.limits.cache_bytes)
        self.stats = Stats([bound.identity.name for bound in hosted])
        self._composer = Composer(self, remotes)
        sinks = Sinks(self._settle, self._settle_plain, self.stats.note_death, self._composer.ask)
        self.hosting = Hosting(hosted, sinks, workers, preload)
        self.hosted = self.hosting.current
        self._planner = Planner(self.hosting)
        self._in_flight = InFlight(self.cache)
        self._calls: set[Call] = set()
        self._idle: asyncio.Event | None = None

    async def start(self) -> None:
        """Make every verifier ready.

        Raises:
            StartupError: What a verifier needs is missing here.
        """
        await self.hosting.start()

    async def add(self, hosted: BoundVerifier, seconds: float) -> None:
        """Host another verifier, or another version of one, from now on.

        Args:
            hosted: The verifier.
            seconds: How long it may take to be ready.

        Raises:
            StartupError: What it needs is missing here.
            TimeoutError: It is not ready in time.
        """
        await self.hosting.add(hosted, seconds)
        self.stats.add(hosted.identity.name)

    async def finish(self, hosted: BoundVerifier) -> None:
        """Wait until all that was admitted for a verifier that was removed is answered, and end what ran it."""
        for call in list(self._calls):
            if any(not isinstance(job, Fault) and job.hosted is hosted for job in call.jobs):
                await call.wait()
        await self.hosting.release(hosted)

    async def drain(self) -> None:
        """Wait until everything that was admitted is answered."""
        if self._calls:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def close(self) -> None:
        """Stop the executors; what is in flight is lost."""
        await self.hosting.close()
        await self._composer.close()

    def open(
        self,
        request: Request,
        deliver: Deliver,
        items: int,
        hold: Reservation | None = None,
        *,
        partial: bool = False,
        inner: bool = False,
        plain: DeliverPlain | None = None,
        longest: int | None = None,
        details: bool = True,
        later: bool = False,
    ) -> Call:
        """Admit a request; its groups are then added to the call.

        Args:
            request: What is asked.
            deliver: Takes each result as it becomes known, perhaps before the call that causes it returns.
            items: Rollouts that will be added, times evaluations.
            hold: Its bytes, given back when the call ends; None when none are counted.
            partial: Answer what does not fit with a skip, instead of refusing the whole.
            inner: Asked by a verifier whose own item is admitted already: nothing is counted twice.
            plain: Takes many verdicts at once that have nothing but a score and a code; None to take them one by one.
            longest: Bytes that no response exceeds, such as those of their message; None to measure each.
            details: Whether more of a verdict is wanted than its score and its code.
            later: Part of a stream that is being judged already: what cannot be served is a fault of its items.

        Returns:
            The call: add the groups and wait for it, or close it to abandon what is not finished.

        Raises:
            RequestError: The request as a whole cannot be served; the message names the field.
            OverloadedError: It does not fit now, and ``partial`` is false.
        """
        bounds = self._planner.bind(request.evaluations, later=later)
        try:
            if not inner:
                self.admission.admit(items, request.client)
        except OverloadedError as refusal:
            if not partial:
                raise
            call = Call(self, request, deliver, items, hold, counted=False)
            call.stats = [self.stats.verifiers.get(evaluation.verifier) for evaluation in request.evaluations]
            call.skip(Skip(SkipReason.OVERLOADED, refusal.retry_after))
            return call
        call = Call(self, request, deliver, items, hold, counted=not inner, plain=plain, longest=longest)
        call.details = details
        try:
            call.jobs = self._planner.jobs(bounds, request, call)
            call.stats = [self.stats.verifiers.get(evaluation.verifier) for evaluation in request.evaluations]
            call.in_stretches = [self._goes_in_stretches(call, job) for job in call.jobs]
            self._calls.add(call)
            call.arm()
        except BaseException:
            call.close()
            raise
        return call

    def _goes_in_stretches(self, call: Call, job: Job | Fault) -> bool:
        """Whether workers may read the rollouts by themselves: neither keys nor lengths are needed here."""
        return (
            not isinstance(job, Fault)
            and isinstance(job.executor, ProcessExecutor)
            and job.executor.takes_stretches
            and job.key is None
            and job.hosted.verifier.scope == "rollout"
            and call.takes_plain
            and not self._may_be_too_long(call, job)
        )

    def begin(
        self, call: Call, groups: Sequence[Group], first: int, keys: Sequence[int], source: Source | None = None
    ) -> None:
        """Answers what needs no run, joins what is in flight, and queues the rest."""
        width = call.width
        for place, job in enumerate(call.jobs):
            start = first * width + place
            if isinstance(job, Fault):
                for position in range(start, start + width * sum(len(group) for group in groups), width):
                    call.give(position, Result(job))
                continue
            if call.takes_plain and isinstance(job.executor, LoopExecutor) and job.executor.is_quick:
                self._judge_at_once(call, job, job.executor, groups, start)
                continue
            if source is not None and call.in_stretches[place] and isinstance(job.executor, ProcessExecutor):
                positions = range(start, start + width * sum(map(len, groups)), width)
                job.executor.submit_stretch(Stretch(job, call, source, positions))
                continue
            make = self._group_units if job.hosted.verifier.scope == "group" else self._singles
            units = make(call, job, groups, start, keys)
            if units:
                call.units += units
                job.executor.submit(units)

    def _judge_at_once(
        self, call: Call, job: Job, executor: LoopExecutor, groups: Sequence[Group], position: int
    ) -> None:
        """Judge what needs neither a queue nor a task of its own, now or behind others who wait for their turn."""
        width = call.width
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        positions: Sequence[int] = range(position, position + width * len(rollouts), width)
        if self._may_be_too_long(call, job):
            rollouts, positions = self._without_too_long(call, job, rollouts, positions)
        if rollouts:
            executor.judge_in_turn(Stretch(job, call, ListSource(rollouts), positions))

    @staticmethod
    def _may_be_too_long(call: Call, job: Job) -> bool:
        """Whether a response of a call may be over the limit: none is longer than the message that it came in."""
        return call.longest is None or call.longest > job.hosted.limits.response_bytes

    @staticmethod
    def _without_too_long(
        call: Call, job: Job, rollouts: Sequence[Rollout], positions: Sequence[int]
    ) -> tuple[list[Rollout], list[int]]:
        """Answers the rollouts whose responses are over the limit; the others, with their positions."""
        fitting: list[Rollout] = []
        places: list[int] = []
        for rollout, position in zip(rollouts, positions, strict=True):
            if longer(rollout.content, job.hosted.limits.response_bytes):
                call.give(position, Result(_too_long(job)))
            else:
                fitting.append(rollout)
                places.append(position)
        return fitting, places

    def _singles(self, call: Call, job: Job, groups: Sequence[Group], position: int, keys: Sequence[int]) -> list[Unit]:
        """The units of a verifier that judges each rollout for itself."""
        width, limit, start = call.width, job.hosted.limits.response_bytes, position
        measured = self._may_be_too_long(call, job)
        units: list[Unit] = []
        for group in groups:
            for rollout in group.rollouts:
                if measured and longer(rollout.content, limit):
                    call.give(position, Result(_too_long(job)))
                elif job.key is None:
                    units.append(Unit(job, rollout, [(call, (position,))]))
                else:
                    key = job.key(rollout, _index(keys, position // width, start // width))
                    units += self._join(call, Unit(job, rollout, [(call, (position,))], key))
                position += width
        return units

    def _group_units(
        self, call: Call, job: Job, groups: Sequence[Group], position: int, keys: Sequence[int]
    ) -> list[Unit]:
        """The units of a verifier that judges whole groups. A response over the limit is judged by that, alone."""
        width, limit, start = call.width, job.hosted.limits.response_bytes, position
        units: list[Unit] = []
        for group in groups:
            positions = range(position, position + width * len(group), width)
            position = positions.stop
            if not group.complete:
                fault = _incomplete(job, group)
                for place in positions:
                    call.give(place, Result(fault))
                continue
            members: dict[int, Rollout] = {}
            for place, rollout in zip(positions, group.rollouts, strict=True):
                if longer(rollout.content, limit):
                    call.give(place, Result(_too_long(job)))
                else:
                    members[place] = rollout
            if members:
                subject = Group(group.prompt_context, list(members.values()))
                rank = positions.start // width
                key = None if job.key is None else job.key(subject, _index(keys, rank, start // width))
                units += self._join(call, Unit(job, subject, [(call, tuple(members))], key))
        return units

    def _join(self, call: Call, unit: Unit) -> list[Unit]:
        """Answers a unit that is known already, lets it join one in flight, or gives it back to be run."""
        awaited = self._in_flight.join(unit)
        if awaited is unit:
            return [unit]
        if awaited is not None:
            call.wait_for(awaited)
        return []

    def _settle(self, unit: Unit, outcomes: Sequence[Outcome], queue_us: int, run_us: int, usage: Usage | None) -> None:
        if unit.settled:
            return
        unit.settled = True
        if queue_us + run_us > _SLOW_US and queue_us + run_us > self.stats.slow.threshold:
            subject, outcome = unit.subject, outcomes[0]
            name = subject.prompt_context.group_id if isinstance(subject, Group) else subject.rollout_id
            code = outcome.reason.value if isinstance(outcome, Skip) else outcome.code
            times = (queue_us, run_us, usage.cpu_us if usage is not None else 0)
            self._note_slow(unit.job, name, code, times, retried=bool(unit.deaths))
        again = self._in_flight.settled(unit, outcomes)
        shared = False
        usages = usage.shares(len(outcomes)) if usage is not None else [None] * len(outcomes)
        for subscriber, positions in unit.subscribers:
            for place, position in enumerate(positions):
                subscriber.give(
                    position, Result(outcomes[place], queue_us, run_us, usages[place], shared, unit.elsewhere)
                )
            shared = True
        if again is not None:
            again.job.executor.submit([again])

    def _settle_plain(self, stretch: Stretch, first: int, verdicts: PlainVerdicts) -> None:
        slow = max(_SLOW_US, self.stats.slow.threshold)
        if max(verdicts.queue_us) + max(verdicts.run_us) > slow:
            times = zip(verdicts.queue_us, verdicts.run_us, verdicts.cpu_us, verdicts.codes, strict=True)
            for place, (queue_us, run_us, cpu_us, code) in enumerate(times, first):
                if queue_us + run_us > slow:
                    self._note_slow(stretch.job, stretch.rollout(place).rollout_id, code, (queue_us, run_us, cpu_us))
        stretch.call.give_plain(verdicts)

    def _note_slow(self, job: Job, name: str, code: str, times: tuple[int, int, int], *, retried: bool = False) -> None:
        """Tell of an item that took long.

        Args:
            job: What was asked.
            name: The caller's name for it.
            code: Code of its outcome.
            times: Microseconds that it waited, ran and computed.
            retried: Whether a worker died on it.
        """
        queue_us, run_us, cpu_us = times
        verifier, origin = job.hosted.identity.name, job.origin
        self.stats.slow.note(
            SlowItem(queue_us + run_us, time.time(), verifier, name, origin, code, queue_us, run_us, cpu_us, retried)
        )

    def release(self, call: Call, unfinished: Sequence[Unit]) -> None:
        """Forget a call that is complete or closed, and abandon units that no other call waits for."""
        self._calls.discard(call)
        if not self._calls and self._idle is not None:
            self._idle.set()
        orphans: dict[Executor, list[Unit]] = {}
        for unit in unfinished:
            unit.subscribers = [entry for entry in unit.subscribers if entry[0] is not call]
            if unit.subscribers:
                continue
            unit.settled = True
            self._in_flight.forget(unit)
            orphans.setdefault(unit.job.executor, []).append(unit)
        for executor, units in orphans.items():
            executor.abandon(units)

    def facts(self) -> dict[str, Any]:
        """What verifiers tell of the host, and counters worth telling an operator."""
        return {
            **self.hosting.facts(),
            "cache_entries": len(self.cache),
            "cache_hits": self.cache.hits,
            "cache_misses": self.cache.misses,
        }


def _too_long(job: Job) -> Verdict:
    return limit_verdict(job.hosted.verifier, f"response longer than {job.hosted.limits.response_bytes} bytes")


def _incomplete(job: Job, group: Group) -> Fault:
    message = (
        f"size: {job.hosted.identity.name} judges whole groups; group {group.group_id!r} has "
        f"{len(group)} rollouts here and size {group.prompt_context.size}; send the group in one call, with its size"
    )
    return Fault(Party.CALLER, "incomplete_group", message)


def _index(keys: Sequence[int], rank: int, first: int) -> int:
    """The caller's own index of a rollout, or its rank in the call."""
    return keys[rank - first] if keys else rank
