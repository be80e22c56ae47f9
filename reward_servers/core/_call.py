"""One request while it is being judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from reward_servers.core._admission import Admission
from reward_servers.core._outcomes import Skip, SkipReason
from reward_servers.core._work import Result, Unit

__all__ = ["Call", "CallOwner"]


class CallOwner(Protocol):
    """Whoever opened the call."""

    admission: Admission

    def release(self, call: Call, unfinished: Sequence[Unit]) -> None:
        """The call waits for nothing any more."""


class Call:
    """Waits for the results of a request, until they are complete, the deadline passes or the caller goes away."""

    def __init__(
        self,
        owner: CallOwner,
        deliver: Callable[[int, Result], None],
        items: int,
        size: int,
        *,
        counted: bool,
    ) -> None:
        self._owner = owner
        self._deliver = deliver
        self._open = bytearray(b"\1") * items
        self._remaining = items
        self._size = size
        self._done: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self.units: set[Unit] = set()
        self.counted = counted

    def arm(self, deadline: float | None) -> None:
        """Lets the call end at its deadline, on the monotonic clock: what is not finished then is skipped."""
        if self._remaining == 0:
            self._end()
        elif deadline is not None:
            delay = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self.expire)

    def give(self, position: int, result: Result) -> None:
        """Passes one result on; a position is answered once."""
        if not self._open[position]:
            return
        self._open[position] = 0
        self._remaining -= 1
        if self.counted:
            self._owner.admission.release(1, 0)
        self._deliver(position, result)
        if self._remaining == 0:
            self._end()

    def expire(self) -> None:
        """The caller's deadline has passed: what is not finished is skipped and its work is stopped."""
        skip = Result(Skip(SkipReason.DEADLINE))
        for position, is_open in enumerate(self._open):
            if is_open:
                self.give(position, skip)

    def close(self) -> None:
        """The caller has gone away: its work is stopped and nothing more is delivered."""
        if self.counted:
            self._owner.admission.release(self._remaining, 0)
        self._open = bytearray(len(self._open))
        self._remaining = 0
        self._end()

    @property
    def ended(self) -> bool:
        """Whether the call waits for nothing any more."""
        return self._ended

    async def wait(self) -> None:
        """Returns when every position is answered."""
        if not self._ended:
            self._done = asyncio.Event()
            await self._done.wait()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self.counted:
            self._owner.admission.release(0, self._size)
        unfinished, self.units = list(self.units), set()
        self._owner.release(self, unfinished)
        if self._done is not None:
            self._done.set()
