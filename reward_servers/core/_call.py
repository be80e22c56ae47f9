"""One request while it is being judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from reward_servers.core._admission import Admission, Reservation
from reward_servers.core._model import Group
from reward_servers.core._outcomes import Fault, Skip, SkipReason
from reward_servers.core._stats import VerifierStats
from reward_servers.core._work import Job, PlainVerdicts, Request, Result, Source, Unit

Deliver = Callable[[int, Result], None]
"""Takes the result of a position: rollout number times evaluations, plus evaluation."""

DeliverPlain = Callable[[PlainVerdicts], None]
"""Takes verdicts of one evaluation that have nothing but a score and a code."""


class CallOwner(Protocol):
    """The server that opened the call: admits it and judges its groups."""

    admission: Admission

    def begin(
        self, call: Call, groups: Sequence[Group], first: int, keys: Sequence[int], source: Source | None
    ) -> None:
        """Judge groups that were added to the call, the first rollout of which has that number."""

    def release(self, call: Call, unfinished: Sequence[Unit]) -> None:
        """The call waits for nothing any more."""


class Call:
    """Waits for the results of a request, until they are complete, the deadline passes or the caller goes away.

    Attributes:
        request: What is asked.
        width: How many evaluations it asks for.
        jobs: One for each evaluation; a fault for one that cannot be served.
        stats: Where its items are counted, one for each evaluation; None for a verifier that is not hosted.
        units: What was queued for it.
        longest: Bytes that none of its responses exceeds, without being measured; None where that is not known.
        in_stretches: For each evaluation, whether workers read its rollouts by themselves, where they can.
        counted: Whether its items are counted by the admission.
        details: Whether more of a verdict is wanted than its score and its code.
    """

    def __init__(
        self,
        owner: CallOwner,
        request: Request,
        deliver: Deliver,
        items: int,
        hold: Reservation | None,
        *,
        counted: bool,
        plain: DeliverPlain | None = None,
        longest: int | None = None,
    ) -> None:
        self._owner = owner
        self._admission = owner.admission
        self._deliver = deliver
        self._deliver_plain = plain
        self._open = bytearray(b"\1") * items
        self._remaining = items
        self._hold = hold
        self._done: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._rollouts = 0
        self._instead: Result | None = None
        self.request = request
        self.width = len(request.evaluations)
        self.jobs: list[Job | Fault] = []
        self.stats: list[VerifierStats | None] = []
        self.units: list[Unit] = []
        self.longest = longest
        self.in_stretches: list[bool] = []
        self.counted = counted
        self.details = True

    def arm(self) -> None:
        """Let the call end at its deadline: what is not finished then is skipped."""
        deadline = self.request.deadline
        if self._remaining == 0:
            self._end()
        elif deadline is not None:
            delay = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self.expire)

    def add(self, groups: Sequence[Group], keys: Sequence[int] = (), source: Source | None = None) -> None:
        """Begin to judge some of the groups that the call was opened for; all of them have to be added in the end.

        Args:
            groups: The groups, whole.
            keys: The caller's own index of each of their rollouts, in order; part of the idempotency key.
            source: The same rollouts as they came, for workers that read them by themselves.
        """
        first = self._rollouts
        self._rollouts += sum(len(group) for group in groups)
        if self._instead is not None:
            self._give_instead(self._instead)
        elif not self._ended:
            self._owner.begin(self, groups, first, keys, source)

    def give(self, position: int, result: Result) -> None:
        """Pass one result on; a position is answered once."""
        if not self._open[position]:
            return
        self._open[position] = 0
        self._remaining -= 1
        if self.counted:
            self._admission.give_back(self.request.client, 1)
        stats = self.stats[position % self.width] if self.stats else None
        if stats is not None:
            stats.note(result)
        self._deliver(position, result)
        if self._remaining == 0:
            self._end()

    def job(self, position: int) -> Job | None:
        """What was asked about a position; None where it could not be served."""
        job = self.jobs[position % self.width] if self.jobs else None
        return job if isinstance(job, Job) else None

    def wait_for(self, unit: Unit) -> None:
        """Wait for another unit as well."""
        self.units.append(unit)

    @property
    def takes_plain(self) -> bool:
        """Whether verdicts that are given many at once are passed on so, which saves making a result of each."""
        return self._deliver_plain is not None

    def give_plain(self, verdicts: PlainVerdicts) -> None:
        """Pass many verdicts on."""
        positions = verdicts.positions
        if self._ended or not positions:
            return
        if self._deliver_plain is None or not self._close_all(positions):
            for position, result in verdicts.results():
                self.give(position, result)
            return
        self._remaining -= len(positions)
        if self.counted:
            self._admission.give_back(self.request.client, len(positions))
        stats = self.stats[positions[0] % self.width]
        if stats is not None:
            stats.note_plain(verdicts)
        self._deliver_plain(verdicts)
        if self._remaining == 0:
            self._end()

    def _close_all(self, positions: Sequence[int]) -> bool:
        """Note that positions are answered; False, and nothing noted, where one of them has been before."""
        waiting = self._open
        if isinstance(positions, range):
            places = slice(positions.start, positions.stop, positions.step)
            if not all(waiting[places]):
                return False
            waiting[places] = bytes(len(positions))
            return True
        if not all(waiting[position] for position in positions):
            return False
        for position in positions:
            waiting[position] = 0
        return True

    def skip(self, skip: Skip) -> None:
        """Skip what is not finished, and what is still to be added."""
        self._instead = Result(skip)
        self._give_instead(self._instead)

    def _give_instead(self, result: Result) -> None:
        for position in range(self._rollouts * self.width):
            self.give(position, result)

    def expire(self) -> None:
        """The caller's deadline has passed: what is not finished is skipped and its work is stopped."""
        self.skip(Skip(SkipReason.DEADLINE))

    def close(self) -> None:
        """The caller has gone away: its work is stopped and nothing more is delivered."""
        if self.counted:
            self._admission.give_back(self.request.client, self._remaining)
        self._open = bytearray(len(self._open))
        self._remaining = 0
        self._end()

    def is_open(self, position: int) -> bool:
        """Whether a position waits for its result."""
        return bool(self._open[position])

    @property
    def ended(self) -> bool:
        """Whether the call waits for nothing any more."""
        return self._ended

    async def wait(self) -> None:
        """Return when every position is answered."""
        if not self._ended:
            self._done = self._done or asyncio.Event()
            await self._done.wait()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._hold is not None:
            self._hold.release()
        unfinished, self.units = [unit for unit in self.units if not unit.settled], []
        # Jobs know their call: cut here, both are freed at once and not when the garbage collector comes by.
        self.jobs = []
        self._owner.release(self, unfinished)
        if self._done is not None:
            self._done.set()
