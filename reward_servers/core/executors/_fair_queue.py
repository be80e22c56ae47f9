"""A queue that takes turns between callers, so that a large batch never makes a small one wait for all of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from reward_servers.core._work import Unit

_Lanes = OrderedDict[object, deque[Unit]]


class FairQueue:
    """First in, first out within a lane; the lanes of a client take turns, and so do clients.

    However many calls a client sends, it has one turn among the others. Settled units are dropped on the way out.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, _Lanes] = OrderedDict()

    def __len__(self) -> int:
        """The number of queued units, settled ones included."""
        return sum(len(lane) for lanes in self._clients.values() for lane in lanes.values())

    def __bool__(self) -> bool:
        """Whether anything is queued."""
        return bool(self._clients)

    def extend(self, units: Sequence[Unit]) -> None:
        """Add units of one job at the end of its lane."""
        self._lane(units[0]).extend(units)

    def push_front(self, unit: Unit) -> None:
        """Put a unit before all others, such as one that is tried again."""
        self._lane(unit).appendleft(unit)
        self._clients[unit.job.client].move_to_end(unit.job.fairness_key, last=False)
        self._clients.move_to_end(unit.job.client, last=False)

    def _lane(self, unit: Unit) -> deque[Unit]:
        lanes = self._clients.get(unit.job.client)
        if lanes is None:
            lanes = self._clients[unit.job.client] = OrderedDict()
        lane = lanes.get(unit.job.fairness_key)
        if lane is None:
            lane = lanes[unit.job.fairness_key] = deque()
        return lane

    def pop(self) -> Unit | None:
        """Take one unit; None when the queue is empty."""
        while self._clients:
            client, lanes, key, lane = self._next()
            unit = lane.popleft()
            self._turn(client, lanes, key, lane)
            if not unit.settled:
                return unit
        return None

    def take(self, limit: Callable[[Unit], int]) -> list[Unit]:
        """Take units that can travel together: of one job, and one alone that a worker has died on.

        Args:
            limit: The largest number to take, given the first of them.

        Returns:
            The units; none when the queue is empty.
        """
        taken: list[Unit] = []
        while self._clients and not taken:
            client, lanes, key, lane = self._next()
            first = lane[0]
            room = 1 if first.deaths else limit(first)
            while room and lane and lane[0].job is first.job and (lane[0] is first or not lane[0].deaths):
                unit = lane.popleft()
                if not unit.settled:
                    taken.append(unit)
                    room -= 1
            self._turn(client, lanes, key, lane)
        return taken

    def _next(self) -> tuple[str, _Lanes, object, deque[Unit]]:
        client = next(iter(self._clients))
        lanes = self._clients[client]
        key = next(iter(lanes))
        return client, lanes, key, lanes[key]

    def _turn(self, client: str, lanes: _Lanes, key: object, lane: deque[Unit]) -> None:
        """Let the others have their turn."""
        if not lane:
            del lanes[key]
            if not lanes:
                del self._clients[client]
                return
        elif len(lanes) > 1:
            lanes.move_to_end(key)
        if len(self._clients) > 1:
            self._clients.move_to_end(client)
