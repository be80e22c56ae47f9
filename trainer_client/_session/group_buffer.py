"""`GroupBuffer`: rollouts of a group that callers submit one by one are sent when the last has come."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trainer_client._errors import ClientClosedError, RolloutError
from trainer_client._session.sinks import ResultSink, ScoringJob
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.rollout.types import Rollout


@dataclass(slots=True, eq=False, weakref_slot=True)
class BufferedGroup:
    """Rollouts of a group that is not complete."""

    size: int
    rollouts: list[Rollout] = field(default_factory=list)
    tokens: list[Any] = field(default_factory=list)
    sinks: list[ResultSink] = field(default_factory=list)

    def deliver(self, tokens: Sequence[int], results: Sequence[RolloutResult | BaseException]) -> None:
        """Pass results on to where each rollout came from: see `ResultSink`."""
        for place, result in zip(tokens, results, strict=True):
            self.sinks[place].deliver([self.tokens[place]], [result])

    def is_abandoned(self, token: int) -> bool:
        """Whether no one waits for any result of the group, which is judged as a whole: see `ResultSink`."""
        return all(sink.is_abandoned(token) for sink, token in zip(self.sinks, self.tokens, strict=True))


class GroupBuffer:
    """Gathers the rollouts of a group that callers submit one by one.

    Args:
        send: takes a complete group: the arguments of `MicroBatcher.add`.
        later: calls a function after some seconds, on any thread.
        patience: seconds that the first rollout of a group waits for the last.
        endings: functions that are called when the client is closed.
    """

    def __init__(
        self,
        send: Callable[[ScoringJob, Sequence[Rollout], Sequence[Any], ResultSink, int], None],
        later: Callable[[float, Callable[[], None]], None],
        patience: float,
        endings: list[Callable[[], None]],
    ) -> None:
        self._send = send
        self._later = later
        self._patience = patience
        self._lock = threading.Lock()
        self._groups: dict[tuple[Any, str], BufferedGroup] = {}
        endings.append(partial(_drop, self._groups))

    def add(self, order: ScoringJob, rollout: Rollout, token: Any, sink: ResultSink, size: int) -> None:
        """Take a rollout of a group of that size."""
        key = (order.key, rollout.group_id)
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = BufferedGroup(size)
            group.rollouts.append(rollout)
            group.tokens.append(token)
            group.sinks.append(sink)
            arrived = len(group.rollouts)
            if arrived >= group.size:
                del self._groups[key]
        if arrived >= group.size:
            self._send(order, group.rollouts, range(arrived), group, arrived)
        elif arrived == 1:
            # Most groups are complete long before. The function that is called then must not keep their texts alive.
            self._later(self._patience, partial(self._give_up, key, weakref.ref(group)))

    def _give_up(self, key: tuple[Any, str], reference: weakref.ref[BufferedGroup]) -> None:
        group = reference()
        with self._lock:
            if group is None or self._groups.get(key) is not group:
                return
            del self._groups[key]
        for place, rollout in enumerate(group.rollouts):
            error = RolloutError(
                f"{len(group.rollouts)} of {group.size} rollouts of group {key[1]!r} came within "
                f"{self._patience:g} s; submit all of them, or give the size that the group has",
                "group_id",
                rollout.rollout_id,
            )
            group.deliver([place], [error])


def _drop(groups: dict[tuple[Any, str], BufferedGroup]) -> None:
    """Fail the rollouts of incomplete groups: the client was closed."""
    while groups:
        _, group = groups.popitem()
        places = range(len(group.rollouts))
        group.deliver(places, [ClientClosedError()] * len(places))
