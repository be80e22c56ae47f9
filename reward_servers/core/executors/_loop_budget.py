"""Bounds how long items are judged in one turn of the event loop; the rest waits for the next turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from reward_servers.core._outcomes import Outcome
from reward_servers.core._stretch import Stretch
from reward_servers.core._work import PlainVerdicts, Result
from reward_servers.core.executors._fair_queue import FairQueue


@dataclass(slots=True)
class InlineOutcomes:
    """Outcomes of items that were judged in one turn of the loop, without a task.

    Attributes:
        scores: Scores of the items whose verdict is nothing but a score and a code.
        codes: Their codes.
        own_codes: Codes that the verifier gave itself, by place among the scores.
        run_us: Microseconds that each ran.
        others: Rank, outcome and run time of the other items.
        done: How many items were judged, from the first on.
        left: Whether the verifier awaits something, so that its item is judged again in a task.
    """

    scores: list[float] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    own_codes: dict[int, str] = field(default_factory=dict)
    run_us: list[int] = field(default_factory=list)
    others: list[tuple[int, Outcome, int]] = field(default_factory=list)
    done: int = 0
    left: bool = False

    def ranks(self) -> list[int]:
        """Ranks of the items that have a score."""
        undone = {rank for rank, _, _ in self.others}
        return [rank for rank in range(self.done) if rank not in undone]

    def tell(self, stretch: Stretch) -> None:
        """Give the call of a stretch the outcomes of its first items."""
        call, positions = stretch.call, stretch.positions
        queue_us = int((time.perf_counter() - stretch.job.queued_at) * 1e6)
        count = len(self.scores)
        if count:
            answered_places = positions[: self.done] if not self.others else [positions[rank] for rank in self.ranks()]
            call.give_plain(PlainVerdicts(answered_places, self.scores, self.codes, [queue_us] * count, self.run_us))
        for rank, outcome, run_us in self.others:
            call.give(positions[rank], Result(outcome, queue_us, run_us))


class LoopBudget:
    """Stretches that wait for another turn of the loop, in a fair order of clients.

    Args:
        judge: Judges the first items of a stretch, and adds the rest again.
    """

    def __init__(self, judge: Callable[[Stretch], None]) -> None:
        self._judge = judge
        self._queue = FairQueue()
        self._is_due = False

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._queue)

    def add(self, stretch: Stretch) -> None:
        """Let a stretch wait for its turn."""
        self._queue.add(stretch)
        self._go_on_later()

    def _go_on_later(self) -> None:
        if self._queue and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_due = False
        try:
            # One whose call has ended is dropped there.
            work = self._queue.take(lambda job: 1 << 30)
            if isinstance(work, Stretch):
                self._judge(work)
        finally:
            self._go_on_later()
