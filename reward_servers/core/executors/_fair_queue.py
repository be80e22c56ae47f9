"""A queue that takes turns between callers, so that a large batch never makes a small one wait for all of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from reward_servers.core._stretch import Stretch, Units
from reward_servers.core._work import Job, Unit

_Lane = deque[Unit | Stretch]
_Lanes = OrderedDict[object, _Lane]


class FairQueue:
    """First in, first out within a lane; the lanes of a client take turns, and so do clients.

    However many calls a client sends, it has one turn among the others. Settled units are dropped on the way out.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, _Lanes] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """The number of queued units, settled ones included."""
        return self._count

    def __bool__(self) -> bool:
        """Whether anything is queued."""
        return bool(self._clients)

    def extend(self, units: Sequence[Unit]) -> None:
        """Add units of one job at the end of its lane."""
        self._lane(units[0].job).extend(units)
        self._count += len(units)

    def add(self, stretch: Stretch) -> None:
        """Add a stretch at the end of its job's lane."""
        self._lane(stretch.job).append(stretch)
        self._count += len(stretch)

    def push_front(self, unit: Unit) -> None:
        """Put a unit before all others, such as one that is tried again."""
        self._lane(unit.job).appendleft(unit)
        self._count += 1
        self._clients[unit.job.client].move_to_end(unit.job.fairness_key, last=False)
        self._clients.move_to_end(unit.job.client, last=False)

    def _lane(self, job: Job) -> _Lane:
        lanes = self._clients.get(job.client)
        if lanes is None:
            lanes = self._clients[job.client] = OrderedDict()
        lane = lanes.get(job.fairness_key)
        if lane is None:
            lane = lanes[job.fairness_key] = deque()
        return lane

    def pop(self) -> Unit | None:
        """Take one unit; None when the queue is empty."""
        while self._clients:
            client, lanes, key, lane = self._next()
            unit = self._one(lane)
            self._turn(client, lanes, key, lane)
            if not unit.settled:
                return unit
        return None

    def _one(self, lane: _Lane) -> Unit:
        self._count -= 1
        first = lane[0]
        if not isinstance(first, Stretch):
            lane.popleft()
            return first
        if len(first) == 1:
            lane.popleft()
        return first.cut(1)[0]

    def take(self, limit: Callable[[Job], int]) -> Units:
        """Take units that can travel together: of one job, and one alone that a worker has died on.

        Args:
            limit: The largest number to take of a job.

        Returns:
            The units; none when the queue is empty.
        """
        batch: Units = []
        while self._clients and not batch:
            client, lanes, key, lane = self._next()
            first = lane[0]
            if isinstance(first, Stretch):
                batch = self._take_stretch(lane, first, limit)
            else:
                batch = self._take_units(lane, first, limit)
            self._turn(client, lanes, key, lane)
        return batch

    def _take_stretch(self, lane: _Lane, first: Stretch, limit: Callable[[Job], int]) -> Units:
        """Cut something off the first stretch of a lane; nothing where its call waits no more."""
        stretch = first.cut(len(first) if first.call.ended else limit(first.job))
        self._count -= len(stretch)
        if not first:
            lane.popleft()
        return [] if stretch.call.ended else stretch

    def _take_units(self, lane: _Lane, first: Unit, limit: Callable[[Job], int]) -> list[Unit]:
        batch: list[Unit] = []
        room = 1 if first.deaths else limit(first.job)
        while room and lane:
            unit = lane[0]
            if isinstance(unit, Stretch) or unit.job is not first.job or (unit.deaths and unit is not first):
                break
            lane.popleft()
            self._count -= 1
            if not unit.settled:
                batch.append(unit)
                room -= 1
        return batch

    def _next(self) -> tuple[str, _Lanes, object, _Lane]:
        client = next(iter(self._clients))
        lanes = self._clients[client]
        key = next(iter(lanes))
        return client, lanes, key, lanes[key]

    def _turn(self, client: str, lanes: _Lanes, key: object, lane: _Lane) -> None:
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
