"""What waits for a device: batches of a bounded cost, from all callers, with the members of a group together.

A device is fed best by batches that fill it and hold items of like lengths. So a batch has one leader, and others join
it from a window of those that are next. Who leads is decided as in a fair queue: each client has a clock that advances
by what its items cost, and the one that is furthest behind leads, so that a large call never makes a small one wait for
all of it. A group that would otherwise miss its deadline leads before all others, the earliest first.

Cost is counted in characters; the executor knows how many a batch may have.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reward_servers.core._model import Content, Group, Rollout
from reward_servers.core._work import Job, Unit

_WINDOW = 4
"""Batches that a window holds: a wider one fits better and makes the last of it wait longer."""
_ITEM = 16
"""Characters that an item costs beside its text."""

_Key = tuple[str, int, int]


def _size(content: Content) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(len(part.text) + len(part.data) for message in content for part in message.parts)


def cost_of(unit: Unit, longest: float = math.inf) -> int:
    """Characters of a unit's responses, up to the longest text; a group shares its prompt, which is counted with it."""
    subject = unit.subject
    rollouts: Sequence[Rollout] = subject.rollouts if isinstance(subject, Group) else (subject,)
    return int(min(_ITEM * len(rollouts) + sum(_size(rollout.content) for rollout in rollouts), longest))


def prompt_cost(unit: Unit, longest: float = math.inf) -> int:
    """Characters of a unit's prompt, up to the longest text."""
    return int(min(_size(unit.subject.prompt_context.prompt), longest))


@dataclass(slots=True)
class _Bundle:
    """Units of one group that wait together.

    Attributes:
        units: The units in the order in which they came, each with its cost.
        tag: Their client's clock when they came: the least leads.
        prompt: Characters of the prompt.
        cost: Characters of the responses.
        deadline: When the first of their callers stops waiting.
    """

    units: dict[Unit, int] = field(default_factory=dict)
    tag: float = 0.0
    prompt: int = 0
    cost: int = 0
    deadline: float = float("inf")

    @property
    def mean(self) -> float:
        """Characters of a whole item."""
        return self.prompt + self.cost / len(self.units)

    @property
    def is_alone(self) -> bool:
        """Whether its next unit must have a batch of its own, because a worker died on it."""
        return bool(next(iter(self.units)).deaths)


class BatchQueue:
    """Units of one device verifier.

    Attributes:
        cost: Characters of all queued units.
        costs: The same by client.
    """

    def __init__(
        self,
        budget: Callable[[], float],
        risk: Callable[[], float],
        longest: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """Take what changes while it is used.

        Args:
            budget: Characters of a batch.
            risk: The moment on the monotonic clock before which a deadline is at risk.
            longest: Characters of the longest text that a device reads: a longer one is refused before it or cut, and
                costs no more.
        """
        self._budget = budget
        self._risk = risk
        self._longest = longest
        self._bundles: dict[_Key, _Bundle] = {}
        self._keys: dict[Unit, _Key] = {}
        self._by_tag: list[tuple[float, int, _Key]] = []
        self._by_deadline: list[tuple[float, int, _Key]] = []
        self._clocks: dict[str, float] = {}
        self._now = 0.0
        self._numbers = itertools.count()
        self._again = itertools.count(-1, -1)
        self.cost = 0
        self.costs: dict[str, int] = {}

    def __len__(self) -> int:
        """The number of queued units."""
        return len(self._keys)

    def __bool__(self) -> bool:
        """Whether anything is queued."""
        return bool(self._bundles)

    def extend(self, units: Sequence[Unit]) -> None:
        """Add units."""
        for unit in units:
            client = unit.job.client
            key = (client, id(unit.subject.prompt_context), 0)
            start = max(self._now, self._clocks.get(client, 0.0))
            self._clocks[client] = start + self._add(key, unit, start)

    def push_front(self, unit: Unit) -> None:
        """Put a unit before all others, such as one that is tried again; one that a worker died on stays alone."""
        alone = next(self._numbers) + 1 if unit.deaths else 0
        # A key of its own: what still waits of its group is not moved with it.
        self._add((unit.job.client, id(unit.subject.prompt_context), alone or -1), unit, float(next(self._again)))

    def withdraw(self, units: Sequence[Unit]) -> None:
        """Remove units that no call waits for any more, so that their cost delays or refuses no other unit."""
        for unit in units:
            key = self._keys.get(unit)
            if key is None:
                continue
            bundle, client = self._bundles[key], key[0]
            # What is not judged does not count as the client's share of the device.
            self._clocks[client] = max(self._now, self._clocks.get(client, 0.0) - bundle.units[unit])
            self._remove(key, bundle, unit)
        self._forget_if_empty()

    def _remove(self, key: _Key, bundle: _Bundle, unit: Unit) -> None:
        """Take a unit out of its bundle, and a bundle without units out of the queue."""
        cost = bundle.units.pop(unit)
        del self._keys[unit]
        bundle.cost -= cost
        self._count(key[0], -cost)
        if not bundle.units:
            del self._bundles[key]
            self._count(key[0], -bundle.prompt)

    def _forget_if_empty(self) -> None:
        if not self._bundles:
            self._by_tag.clear()
            self._by_deadline.clear()
            self._clocks.clear()
            self._now = 0.0

    def _add(self, key: _Key, unit: Unit, tag: float) -> int:
        bundle = self._bundles.get(key)
        longest = self._longest()
        cost, added = cost_of(unit, longest), 0
        if bundle is None:
            added = prompt_cost(unit, longest)
            bundle = self._bundles[key] = _Bundle(tag=tag, prompt=added)
            heapq.heappush(self._by_tag, (tag, next(self._numbers), key))
        bundle.units[unit] = cost
        self._keys[unit] = key
        bundle.cost += cost
        self._count(key[0], cost + added)
        deadline = unit.job.deadline
        if deadline is not None and deadline < bundle.deadline:
            bundle.deadline = deadline
            heapq.heappush(self._by_deadline, (deadline, next(self._numbers), key))
        return cost + added

    def _count(self, client: str, cost: int) -> None:
        self.cost += cost
        self.costs[client] = self.costs.get(client, 0) + cost
        if not self.costs[client]:
            del self.costs[client]

    def take(self, limit: Callable[[Job], int]) -> list[Unit]:
        """Take a batch: its leader's group, and others of like lengths.

        Args:
            limit: The largest number of units of a job.

        Returns:
            The units, those of a group side by side; none when the queue is empty.
        """
        batch: list[Unit] = []
        while not batch:
            key = self._leader()
            if key is None:
                return []
            bundle = self._bundles[key]
            room, budget = limit(next(iter(bundle.units)).job), self._budget()
            alone = bundle.is_alone
            self._now = max(self._now, bundle.tag)
            mean, spent = bundle.mean, self._move(key, room, budget, batch)
            if alone:
                continue
            for companion in self._companions(mean, budget, room):
                if len(batch) >= room or spent >= budget:
                    break
                bundle = self._bundles[companion]
                if spent + bundle.prompt + bundle.cost <= budget or not batch:
                    spent += self._move(companion, room - len(batch), budget - spent, batch)
        self._forget_if_empty()
        return batch

    def _leader(self) -> _Key | None:
        """The group whose deadline is at risk first, or else the one whose client is furthest behind."""
        risk = self._risk()
        while self._by_deadline:
            deadline, _, key = self._by_deadline[0]
            bundle = self._bundles.get(key)
            if bundle is None or bundle.deadline != deadline:
                heapq.heappop(self._by_deadline)
            elif deadline < risk:
                return key
            else:
                break
        while self._by_tag:
            tag, _, key = self._by_tag[0]
            bundle = self._bundles.get(key)
            if bundle is not None and bundle.tag == tag:
                return key
            heapq.heappop(self._by_tag)
        return None

    def _companions(self, mean: float, budget: float, room: int) -> list[_Key]:
        """Groups of the window, those of the likest lengths first."""
        companions: list[tuple[float, int, _Key]] = []
        keys: dict[_Key, None] = {}
        cost = 0
        while self._by_tag and cost < _WINDOW * budget and len(companions) < _WINDOW * room:
            entry = heapq.heappop(self._by_tag)
            tag, _, key = entry
            bundle = self._bundles.get(key)
            if bundle is None or bundle.tag != tag or key in keys:
                continue
            companions.append(entry)
            keys[key] = None
            cost += bundle.prompt + bundle.cost
        for entry in companions:
            heapq.heappush(self._by_tag, entry)
        fitting = [key for key in keys if not self._bundles[key].is_alone]
        return sorted(fitting, key=lambda key: abs(self._bundles[key].mean - mean))

    def _move(self, key: _Key, room: int, budget: float, batch: list[Unit]) -> int:
        """Move units of a group into a batch, at least one; return their cost."""
        bundle = self._bundles[key]
        spent = bundle.prompt
        moved: list[Unit] = []
        for unit, cost in bundle.units.items():
            if moved and (spent + cost > budget or room <= 0):
                break
            moved.append(unit)
            if unit.settled:
                continue
            batch.append(unit)
            spent += cost
            room -= 1
            if unit.deaths:
                break
        for unit in moved:
            self._remove(key, bundle, unit)
        return spent
