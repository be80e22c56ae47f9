"""How many requests an endpoint is given at a time, and when it is given none."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_FIRST = 8
_DECREASE = 0.7
_PROBE_AFTER = 20.0
_LONGEST_PROBE = 300.0
_FAILURES = 8
_FIRST_REST = 1.0
_LONGEST_REST = 30.0


class Window:
    """Admits requests to one endpoint.

    The window opens quickly until the endpoint first refuses for load. Then it stays just below the number of requests
    that was refused, and looks beyond it less and less often. Refusals that come again and again narrow it by a factor.
    A pause that the endpoint asks for, and a rest after many failures in a row, hold everyone back.

    Attributes:
        most: Requests in flight at most, as the operator says.
        in_flight: Requests in flight.
        limit: Requests that are admitted now.
    """

    def __init__(self, most: int) -> None:
        """Begin with a small window."""
        self.most = most
        self.in_flight = 0
        self.limit = float(min(_FIRST, most))
        self._ceiling = float(most)
        self._slow_start = True
        self._decreased_at = 0.0
        self._since_decrease = 0
        self._probe_after = _PROBE_AFTER
        self._resume_at = 0.0
        self._failures = 0
        self._rest = _FIRST_REST
        self._rested_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def resume_at(self) -> float:
        """When requests are admitted again, on the monotonic clock."""
        return self._resume_at

    @property
    def pause(self) -> float:
        """Seconds until requests are admitted again."""
        return max(0.0, self._resume_at - time.monotonic())

    @property
    def waiting(self) -> int:
        """Requests that wait for a turn."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Requests that could be sent at once."""
        return 0 if time.monotonic() < self._resume_at else max(0, int(self.limit) - self.in_flight)

    async def enter(self, until: float, patience: Callable[[], float]) -> int:
        """Wait for a turn.

        Args:
            until: When to give up, on the monotonic clock.
            patience: The longest pause of the endpoint that is worth waiting for at present, in seconds.

        Returns:
            How many requests are in flight with this one.

        Raises:
            TimeoutError: There was no turn in time.
        """
        turn: asyncio.Future[None] | None = None
        try:
            while True:
                now = time.monotonic()
                first = not self._waiting or self._waiting[0] is turn
                pause = self._resume_at - now
                if first and pause <= 0 and self.in_flight < int(self.limit):
                    break
                if now >= until or pause > patience():
                    raise TimeoutError
                if turn is None or turn.done():
                    again = asyncio.get_running_loop().create_future()
                    if turn is None:
                        self._waiting.append(again)
                    else:
                        self._waiting[self._waiting.index(turn)] = again
                    turn = again
                left = min(until - now, pause) if first and pause > 0 else until - now
                await asyncio.wait([turn], timeout=None if left == float("inf") else left)
        except BaseException:
            self._leave_queue(turn)
            raise
        self._leave_queue(turn)
        self.in_flight += 1
        return self.in_flight

    def _leave_queue(self, turn: asyncio.Future[None] | None) -> None:
        if turn is not None:
            self._waiting.remove(turn)
        self._wake()

    def leave(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self._waiting[0].done():
            self._waiting[0].set_result(None)

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures, self._rest = 0, _FIRST_REST
        self._since_decrease += 1
        if self._slow_start:
            self.limit = min(self.most, self.limit + 1.0)
        elif self.limit + 1 <= self._ceiling or self._may_probe():
            self.limit = min(self.most, self.limit + 1.0 / self.limit)
        self._wake()

    def _may_probe(self) -> bool:
        """Whether it is time to see if the endpoint takes more than it once did."""
        return self.limit < self.most and time.monotonic() - self._decreased_at >= self._probe_after

    def refused(self, sent_at: float, in_flight: int, retry_after: float | None) -> None:
        """The endpoint refused a request for load.

        Args:
            sent_at: When the request was sent.
            in_flight: How many were in flight with it.
            retry_after: Seconds that it asks everyone to wait.
        """
        now = time.monotonic()
        if retry_after is not None:
            self._resume_at = max(self._resume_at, now + retry_after)
        if sent_at < self._decreased_at:
            return
        alone = self._slow_start or self._since_decrease >= 2 * self.limit
        self._probe_after = _PROBE_AFTER if self._slow_start else min(_LONGEST_PROBE, 2 * self._probe_after)
        self._ceiling = max(1.0, min(self._ceiling, in_flight - 1.0))
        self.limit = self._ceiling if alone else max(1.0, self.limit * _DECREASE)
        self._slow_start = False
        self._decreased_at, self._since_decrease = now, 0

    def failed(self, sent_at: float) -> None:
        """A request failed for another reason; after many in a row the endpoint is left alone for a while.

        Args:
            sent_at: When the request was sent. Those that were in flight when a rest began say nothing new.
        """
        if sent_at < self._rested_at:
            return
        self._failures += 1
        if self._failures >= _FAILURES:
            self._rested_at = time.monotonic()
            self._resume_at = max(self._resume_at, self._rested_at + self._rest)
            self._rest = min(_LONGEST_REST, 2 * self._rest)
            self._failures = _FAILURES - 1
