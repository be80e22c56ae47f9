"""`ProgressWatch`: notices calls that do not get on, and says what work waits for.

A replica can answer that it is alive and still make no progress. When a call has given nothing for long, compared with
what calls of this server take, while another replica has time, its open items are given to that one.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable

from trainer_client._settings import Retries
from trainer_client._transport.background import BackgroundTask
from trainer_client._transport.choice import has_time
from trainer_client._transport.fleet import Fleet
from trainer_client._transport.replica import EndableCall, Replica

logger = logging.getLogger("trainer_client")

_TICK = 1.0
_SAMPLES = 512
_PERCENTILE = 0.99
_MARGIN = 5.0
"""A call counts as stalled after that many times what 99 of 100 results take."""


class ProgressWatch(BackgroundTask):
    """Looks at the calls to one server, for as long as there are any, or work waits to be sent.

    Args:
        fleet: the replicas.
        retries: when a call counts as stalled, and how often long waits are reported.
        waits: how many items wait for a replica, and since when on the loop's clock.
    """

    def __init__(self, fleet: Fleet, retries: Retries, waits: Callable[[], tuple[int, float]]) -> None:
        super().__init__(self._look)
        self._fleet = fleet
        self._stall = retries.stall_timeout_s
        self._report = retries.report_interval_s
        self._waits = waits
        self._seconds: deque[float] = deque(maxlen=_SAMPLES)
        self._usual = 0.0
        self._unsorted = 0

    def note(self, seconds: float) -> None:
        """A call has given results, so long after it was sent."""
        self._seconds.append(seconds)
        self._unsorted += 1

    def threshold(self, call: EndableCall) -> float:
        """Seconds without a result after which a call counts as stalled; twice as long each time it is moved."""
        if self._unsorted:
            ordered = sorted(self._seconds)
            self._usual = ordered[min(len(ordered) - 1, int(len(ordered) * _PERCENTILE))]
            self._unsorted = 0
        return float(max(self._stall, _MARGIN * self._usual) * 2.0**call.chunk.takeovers)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        reported = loop.time()
        while True:
            await asyncio.sleep(min(_TICK, self._stall / 4, self._report / 4))
            now = loop.time()
            calls = [(replica, call) for replica in self._fleet.replicas for call in list(replica.calls)]
            waiting, since = self._waits()
            if not waiting and not any(replica.outstanding for replica in self._fleet.replicas):
                return
            for replica, call in calls:
                self._look_at(replica, call, now)
            if now - reported >= self._report:
                reported = now
                self._say(calls, waiting, since, now)

    def _look_at(self, replica: Replica, call: EndableCall, now: float) -> None:
        silence = now - call.heard
        if silence < self._stall:
            return
        threshold = self.threshold(call)
        if silence >= threshold and has_time(
            self._fleet.replicas, call.chunk.needs, replica, call.unanswered, threshold / 2
        ):
            call.take_over(silence)

    def _say(self, calls: list[tuple[Replica, EndableCall]], waiting: int, since: float, now: float) -> None:
        """Log what has been waited for longer than the interval."""
        for replica in self._fleet.replicas:
            slow = [call for of, call in calls if of is replica and now - call.heard >= self._report]
            if slow:
                logger.warning(
                    "server %r: %d items wait at %s, which has given no result for %.0f s%s",
                    self._fleet.server,
                    sum(call.unanswered for call in slow),
                    replica.address,
                    now - min(call.heard for call in slow),
                    f" ({replica.reason})" if replica.reason else "",
                )
        if now - since >= self._report and since != math.inf:
            logger.warning(
                "server %r: %d items have waited for a replica for %.0f s (%s)",
                self._fleet.server, waiting, now - since, self._fleet.reasons(),
            )  # fmt: skip
