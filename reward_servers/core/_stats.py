"""What verifiers have done: items by outcome, and how long they waited and ran.

Counting an item is a few appends; times are sorted into histograms a thousand at a time.
"""

from __future__ import annotations

import heapq
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from reward_servers.core._outcomes import Fault, Skip, Verdict
from reward_servers.core._work import PlainVerdicts, Result

BOUNDS = tuple(base * 10.0**power for power in range(-5, 3) for base in (1.0, 2.5, 5.0))
"""Upper bounds of the buckets of a histogram, in seconds: 10 µs to 500 s; what is longer is beyond the last."""
_BOUNDS_US = np.array(BOUNDS) * 1e6
_BATCH = 1024
_MOST_CODES = 64
"""Different outcomes of a verifier that are told apart; a verifier that makes codes up must not fill a data base."""
_OTHER = ("other", "", "other")


class Histogram:
    """How often a time was within which bounds."""

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.int64] = np.zeros(len(BOUNDS) + 1, np.int64)
        self._waiting = array("Q")
        self._sum_us = 0

    def add(self, microseconds: int) -> None:
        """Count one time."""
        self._waiting.append(microseconds)
        if len(self._waiting) >= _BATCH:
            self._sort()

    def extend(self, microseconds: Sequence[int]) -> None:
        """Count many times."""
        self._waiting.extend(microseconds)
        if len(self._waiting) >= _BATCH:
            self._sort()

    def _sort(self) -> None:
        values = np.frombuffer(self._waiting, np.uint64).astype(np.float64)
        self._counts += np.bincount(np.searchsorted(_BOUNDS_US, values), minlength=len(self._counts))
        self._sum_us += int(values.sum())
        self._waiting = array("Q")

    @property
    def cumulative(self) -> list[int]:
        """For each bound, the number of times within it; last, the number of all."""
        if self._waiting:
            self._sort()
        return list(accumulate(int(count) for count in self._counts))

    @property
    def seconds(self) -> float:
        """All times together."""
        if self._waiting:
            self._sort()
        return self._sum_us * 1e-6

    def quantile(self, share: float) -> float:
        """The bound that a share of all times is within, in seconds; 0 when there are none."""
        counts = self.cumulative
        rank = share * counts[-1]
        if counts[-1] == 0:
            return 0.0
        place = next(place for place, count in enumerate(counts) if count >= rank)
        return BOUNDS[min(place, len(BOUNDS) - 1)]


@dataclass(slots=True)
class VerifierStats:
    """What one verifier has done.

    Attributes:
        outcomes: Number of items by kind (``verdict``, ``fault``, ``skip``), party and code.
        cached: Items whose verdict came from the cache or from another item's run.
        queue: How long items waited.
        run: How long items ran; those that did not run are not among them.
    """

    outcomes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    cached: int = 0
    queue: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)

    def note(self, result: Result) -> None:
        """Count an item."""
        outcome = result.outcome
        if type(outcome) is Verdict:
            self.count("verdict", "", outcome.code)
            if result.cached:
                self.cached += 1
            else:
                self.queue.add(result.queue_us)
                self.run.add(result.run_us)
        elif type(outcome) is Fault:
            self.count("fault", outcome.party.value, outcome.code)
            self.run.add(result.run_us)
        elif type(outcome) is Skip:
            self.count("skip", "", outcome.reason.value)

    def note_plain(self, verdicts: PlainVerdicts) -> None:
        """Count verdicts that came together."""
        codes = verdicts.codes
        if codes.count(codes[0]) == len(codes):
            self.count("verdict", "", codes[0], len(codes))
        else:
            for code, items in Counter(codes).items():
                self.count("verdict", "", code, items)
        self.queue.extend(verdicts.queue_us)
        self.run.extend(verdicts.run_us)

    def count(self, kind: str, party: str, code: str, items: int = 1) -> None:
        """Count items with an outcome."""
        key = (kind, party, code)
        outcomes = self.outcomes
        if key in outcomes:
            outcomes[key] += items
            return
        if len(outcomes) >= _MOST_CODES:
            key = (kind, party, _OTHER[2])
        outcomes[key] = outcomes.get(key, 0) + items

    def total(self, kind: str) -> int:
        """Number of items with an outcome of a kind."""
        return sum(count for (outcome, _, _), count in self.outcomes.items() if outcome == kind)


@dataclass(frozen=True, slots=True, order=True)
class SlowItem:
    """An item that took long.

    Attributes:
        total_us: Microseconds from its arrival to its outcome.
        at: When it finished, in seconds since 1970.
        verifier: Name of the verifier.
        rollout_id: The caller's name for the rollout or the group.
        origin: What call it came with: request id, run and step.
        code: Code of its outcome.
        queue_us: Microseconds that it waited.
        run_us: Microseconds that it ran.
        cpu_us: Microseconds of CPU time.
        retried: Whether a worker died on it.
    """

    total_us: int
    at: float
    verifier: str
    rollout_id: str
    origin: tuple[str, str, int]
    code: str
    queue_us: int
    run_us: int
    cpu_us: int
    retried: bool

    @property
    def why(self) -> str:
        """What it spent its time on: ``queued``, ``retried``, ``computing`` or ``waiting``."""
        if self.retried:
            return "retried"
        if self.queue_us > self.run_us:
            return "queued"
        return "computing" if self.cpu_us > self.run_us // 2 else "waiting"


class SlowItems:
    """The slowest items of the last minutes."""

    def __init__(self, most: int = 50, seconds: float = 600.0) -> None:
        self._most = most
        self._seconds = seconds
        self._heap: list[SlowItem] = []
        self.threshold = 0
        """Microseconds from which an item is worth telling."""

    def note(self, item: SlowItem) -> None:
        """Keep an item when it is among the slowest."""
        self._drop_old(item.at)
        heapq.heappush(self._heap, item)
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)
        self.threshold = self._heap[0].total_us if len(self._heap) >= self._most else 0

    def _drop_old(self, now: float) -> None:
        if self._heap and min(slow.at for slow in self._heap) < now - self._seconds:
            self._heap = [slow for slow in self._heap if slow.at >= now - self._seconds]
            heapq.heapify(self._heap)

    def __iter__(self) -> Iterator[SlowItem]:
        """The slowest first."""
        self._drop_old(time.time())
        return iter(sorted(self._heap, reverse=True))


class Stats:
    """What a server has done."""

    def __init__(self, verifiers: Sequence[str]) -> None:
        self.verifiers: dict[str, VerifierStats] = {name: VerifierStats() for name in verifiers}
        self.slow = SlowItems()
        self.worker_deaths: dict[tuple[str, str], int] = {}
        self.received_bytes = 0
        self.sent_bytes = 0
        self.calls: dict[tuple[str, str], int] = {}
        self.clients: dict[str, int] = {}

    def add(self, verifier: str) -> None:
        """A verifier is hosted from now on; one that was before goes on counting."""
        self.verifiers.setdefault(verifier, VerifierStats())

    def note_death(self, pool: str, kind: str) -> None:
        """Count a worker that ended and was replaced."""
        self.worker_deaths[pool, kind] = self.worker_deaths.get((pool, kind), 0) + 1

    def note_call(self, method: str, status: str, client: str, items: int) -> None:
        """Count a call."""
        self.calls[method, status] = self.calls.get((method, status), 0) + 1
        if client not in self.clients and len(self.clients) >= _MOST_CODES:
            client = "other"
        self.clients[client] = self.clients.get(client, 0) + items
