"""Runs a unit once for all calls that ask the same: its verdict is cached, or the unit is already in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from reward_servers.core._cache import VerdictCache
from reward_servers.core._outcomes import Outcome, Skip, Verdict
from reward_servers.core._work import Job, Result, Unit


class InFlight:
    """Units in flight by key, and the cache of verdicts.

    Attributes:
        cache: Verdicts of finished units.
    """

    def __init__(self, cache: VerdictCache) -> None:
        self.cache = cache
        self._units: dict[bytes, Unit] = {}

    def join(self, unit: Unit) -> Unit | None:
        """Answer a unit from the cache, or let it join an equal one that is in flight.

        Returns:
            The unit that the call waits for: this one when it has to be run; None when it is answered.
        """
        key, ((call, positions),) = unit.key, unit.subscribers
        if key is None:
            return unit
        verdicts = self.cache.get(key)
        if verdicts is not None:
            for position, verdict in zip(positions, verdicts, strict=True):
                call.give(position, Result(verdict, cached=True))
            return None
        running = self._units.setdefault(key, unit)
        if running is not unit:
            running.subscribers.append((call, positions))
        return running

    def forget(self, unit: Unit) -> None:
        """Let no further call join a unit."""
        if unit.key is not None and self._units.get(unit.key) is unit:
            del self._units[unit.key]

    def settled(self, unit: Unit, outcomes: Sequence[Outcome]) -> Unit | None:
        """Cache the verdicts of a finished unit.

        Returns:
            A unit to run for joined calls whose deadline is later than that of the unit which was skipped; None
            when there is no such call.
        """
        if unit.key is None:
            return None
        self.forget(unit)
        # A verifier on another server may be upgraded at any moment without notice, so verdicts that depend on one are
        # not cached. The key of a stochastic verdict belongs to one call, which may only repeat the same question.
        lasts = not (unit.elsewhere and unit.job.hosted.verifier.deterministic)
        if lasts and all(type(outcome) is Verdict and outcome.code != "crashed_verifier" for outcome in outcomes):
            self.cache.put(unit.key, cast("Sequence[Verdict]", outcomes))
        if not isinstance(outcomes[0], Skip):
            return None
        return self._again(unit)

    def _again(self, unit: Unit) -> Unit | None:
        waiting = [(subscriber, subscriber[0].job(subscriber[1][0])) for subscriber in unit.subscribers]
        late = [(subscriber, job) for subscriber, job in waiting if job is not None and _ends(job) > _ends(unit.job)]
        if not late:
            return None
        unit.subscribers = [subscriber for subscriber, job in waiting if job is None or _ends(job) <= _ends(unit.job)]
        last = max((job for _, job in late), key=_ends)
        again = Unit(last, unit.subject, [subscriber for subscriber, _ in late], unit.key)
        for call, _ in again.subscribers:
            call.wait_for(again)
        assert again.key is not None
        self._units[again.key] = again
        return again


def _ends(job: Job) -> float:
    return math.inf if job.deadline is None else job.deadline
