"""Consecutive rollouts of one call and one evaluation: queued and run together, without an object for each of them.

Only what goes another way than the others becomes a unit: an item that a worker died on, one that waits behind a stuck
one, one that takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reward_servers.core._call import Call
from reward_servers.core._model import Rollout
from reward_servers.core._work import Job, PlainVerdicts, Source, Unit


class ListSource:
    """Rollouts of this process: a source for what is judged here."""

    reader = ""

    def __init__(self, rollouts: Sequence[Rollout]) -> None:
        """Take the rollouts."""
        self._rollouts = rollouts

    def rollout(self, rank: int) -> Rollout:
        """The rollout with that number."""
        return self._rollouts[rank]

    def pieces(self, first: int, last: int) -> list[bytes]:
        """There are none.

        Raises:
            TypeError: Always: no worker may be given these.
        """
        raise TypeError("rollouts of this process are judged in it")


class Stretch:
    """Rollouts of a source that are to be judged, from ``first`` up to but not including ``last``."""

    __slots__ = ("_first", "_last", "_made", "_positions", "_source", "call", "job")

    def __init__(self, job: Job, call: Call, source: Source, positions: Sequence[int]) -> None:
        """Take all rollouts of a source.

        Args:
            job: What is asked about them.
            call: The one that waits for them.
            source: The rollouts.
            positions: The call's position of each of them.
        """
        self.job = job
        self.call = call
        self._source = source
        self._positions = positions
        self._first = 0
        self._last = len(positions)
        self._made: dict[int, Unit] = {}

    def __len__(self) -> int:
        """The number of rollouts."""
        return self._last - self._first

    def cut(self, count: int) -> Stretch:
        """Take rollouts from the front."""
        front = Stretch.__new__(Stretch)
        front.job, front.call, front._source, front._positions = self.job, self.call, self._source, self._positions
        front._first = self._first
        front._last = self._first = min(self._last, self._first + count)
        front._made = {}
        return front

    @property
    def positions(self) -> Sequence[int]:
        """The call's position of each rollout."""
        return self._positions[self._first : self._last]

    @property
    def reader(self) -> str:
        """Import path of what reads the bytes."""
        return self._source.reader

    def pieces(self) -> list[bytes]:
        """The bytes of the rollouts."""
        return self._source.pieces(self._first, self._last)

    def rollout(self, place: int) -> Rollout:
        """The rollout at a place."""
        return self._source.rollout(self._first + place)

    def __getitem__(self, place: int) -> Unit:
        """The unit at a place, made when it is first asked for."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        unit = self._made.get(place)
        if unit is None:
            position = self._positions[self._first + place]
            unit = self._made[place] = Unit(self.job, self.rollout(place), [(self.call, (position,))])
            if self.call.is_open(position):
                self.call.units.append(unit)
            else:
                unit.settled = True
        return unit

    def __iter__(self) -> Iterator[Unit]:
        """All units."""
        return map(self.__getitem__, range(len(self)))

    def made(self) -> Iterator[tuple[int, Unit]]:
        """Units that have been asked for, with their places."""
        return iter(self._made.items())

    @property
    def whole(self) -> bool:
        """Whether none of the rollouts has become a unit."""
        return not self._made


SettlePlain = Callable[[Stretch, int, PlainVerdicts], None]
"""Reports verdicts of consecutive rollouts of a stretch, given the place of the first."""

Units = Sequence[Unit] | Stretch
"""Units of one job that travel together."""


def job_of(units: Units) -> Job:
    """The job of units, of which there is at least one."""
    return units.job if isinstance(units, Stretch) else units[0].job
