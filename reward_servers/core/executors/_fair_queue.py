"""A queue that takes turns between callers, so that a large batch never makes a small one wait for all of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from reward_servers.core._work import Unit

__all__ = ["FairQueue"]


class FairQueue:
    """First in, first out within a lane; lanes take turns. Settled units are dropped on the way out."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[object, deque[Unit]] = OrderedDict()

    def __len__(self) -> int:
        """The number of queued units, settled ones included."""
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        """Whether anything is queued."""
        return bool(self._lanes)

    def extend(self, units: Sequence[Unit]) -> None:
        """Adds units of one job at the end of its lane."""
        self._lane(units[0]).extend(units)

    def push_front(self, unit: Unit) -> None:
        """Puts a unit before all others, such as one that is tried again."""
        self._lane(unit).appendleft(unit)
        self._lanes.move_to_end(unit.job.lane, last=False)

    def _lane(self, unit: Unit) -> deque[Unit]:
        lane = self._lanes.get(unit.job.lane)
        if lane is None:
            lane = self._lanes[unit.job.lane] = deque()
        return lane

    def pop(self) -> Unit | None:
        """Takes one unit; None when the queue is empty."""
        lanes = self._lanes
        while lanes:
            key = next(iter(lanes))
            lane = lanes[key]
            unit = lane.popleft()
            if not lane:
                del lanes[key]
            elif len(lanes) > 1:
                lanes.move_to_end(key)
            if not unit.settled:
                return unit
        return None

    def take(self, limit: Callable[[Unit], int]) -> list[Unit]:
        """Takes units that can travel together: of one job, and one alone that a worker has died on.

        Args:
            limit: The largest number to take, given the first of them.

        Returns:
            The units; none when the queue is empty.
        """
        taken: list[Unit] = []
        while self._lanes and not taken:
            key, lane = next(iter(self._lanes.items()))
            first = lane[0]
            room = 1 if first.deaths else limit(first)
            while room and lane and lane[0].job is first.job and (lane[0] is first or not lane[0].deaths):
                unit = lane.popleft()
                if not unit.settled:
                    taken.append(unit)
                    room -= 1
            if lane:
                self._lanes.move_to_end(key)
            else:
                del self._lanes[key]
        return taken
