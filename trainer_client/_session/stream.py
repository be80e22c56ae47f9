"""`GroupStream`: rollouts come in one by one or group by group, groups go out as they complete.

Rollouts are sent as soon as they arrive, so that when the last of a group is generated only that one is left to
judge. Recipes with a verifier that judges groups have to wait for the complete group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from trainer_client._errors import RolloutError
from trainer_client._session.sinks import ResultSink, ScoringJob
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult, table_of
from trainer_client.result.table import CarriedState, ScoreTable
from trainer_client.rollout.types import Rollout, as_rollouts, not_a_rollout

Submit: TypeAlias = Callable[[ScoringJob, Sequence[Rollout], Sequence[Any], ResultSink, int], None]

StreamItem: TypeAlias = Rollout | Sequence[Rollout]
"""A rollout, or all rollouts of a prompt."""


@dataclass(slots=True)
class OpenGroup:
    """A group on its way.

    Attributes:
        size: how many rollouts complete it; 0 when that is not known yet.
        rollouts: the rollouts that have arrived.
        scored: results by place in ``rollouts``.
        held: whether the rollouts wait to be sent together.
    """

    size: int
    held: bool
    rollouts: list[Rollout] = field(default_factory=list)
    scored: dict[int, RolloutResult] = field(default_factory=dict)


class GroupStream:
    """One stream of groups.

    Args:
        submit: hands over rollouts: see `Core.submit`.
        given_up: called when the stream is abandoned: see `Core.abandoned`.
        order: the recipe and the labels.
        kept: what makes advantages of the rewards of a group, and what was missing before.
        group_size: rollouts of a complete group, for rollouts that arrive one by one; None: a group is complete
            when the stream ends.
        whole_groups: whether rollouts of a group must be sent together.
        emit: called with each complete group, or with the error that ends the stream, on any thread.
        progress: called when rollouts are done, on any thread.
        record: called with each complete group before it is emitted; None where none is kept.

    Attributes:
        open: rollouts sent and not answered.
        started: groups of which a rollout has come; each is emitted once.
    """

    def __init__(
        self,
        submit: Submit,
        given_up: Callable[[], None],
        order: ScoringJob,
        kept: CarriedState,
        group_size: int | None,
        whole_groups: bool,
        emit: Callable[[ScoreTable | BaseException], None],
        progress: Callable[[], None] = lambda: None,
        record: Callable[[Sequence[Rollout], ScoreTable, Labels], None] | None = None,
    ) -> None:
        self._record = record
        self._submit = submit
        self._given_up = given_up
        self._order = order
        self._kept = kept
        self._group_size = group_size or 0
        self._whole_groups = whole_groups
        self._emit = emit
        self._progress = progress
        self._lock = threading.Lock()
        self._groups: dict[str, OpenGroup] = {}
        self._failed = False
        self._abandoned = False
        self.open = 0
        self.started = 0

    def add(self, item: StreamItem) -> None:
        """Take a rollout or a complete group.

        Raises:
            RolloutError: a group is empty, mixes ids, or was given before; or more rollouts than its size arrived.
        """
        if isinstance(item, Rollout):
            self._add_rollout(item)
        elif isinstance(item, Sequence) and not isinstance(item, str):
            self._add_group(list(as_rollouts(item)))
        else:
            raise not_a_rollout(item)

    def _add_group(self, rollouts: list[Rollout]) -> None:
        if not rollouts:
            raise RolloutError("is empty; a group has at least one rollout", "group")
        group_id = rollouts[0].group_id
        for rollout in rollouts:
            if rollout.group_id != group_id:
                raise RolloutError(f"differs from {group_id!r} within one group", "group_id", rollout.rollout_id)
        with self._lock:
            if group_id in self._groups:
                raise RolloutError("this group is already being scored", "group_id", rollouts[0].rollout_id)
            group = self._groups[group_id] = OpenGroup(len(rollouts), held=False, rollouts=rollouts)
            self.started += 1
        self._send(group, rollouts, 0)

    def _add_rollout(self, rollout: Rollout) -> None:
        with self._lock:
            group = self._groups.get(rollout.group_id)
            if group is None:
                group = self._groups[rollout.group_id] = OpenGroup(self._group_size, held=self._whole_groups)
                self.started += 1
            if group.size and len(group.rollouts) >= group.size:
                raise RolloutError(f"the group already has its {group.size} rollouts", "group_id", rollout.rollout_id)
            place = len(group.rollouts)
            group.rollouts.append(rollout)
            complete = len(group.rollouts) == group.size
        if not group.held:
            self._send(group, [rollout], place)
        elif complete:
            self._send(group, group.rollouts, 0)

    def _send(self, group: OpenGroup, rollouts: Sequence[Rollout], first: int) -> None:
        with self._lock:
            self.open += len(rollouts)
        size = group.size if len(rollouts) == group.size else 0
        tokens = [(group, first + i) for i in range(len(rollouts))]
        self._submit(self._order, rollouts, tokens, self, size)

    def abandon(self) -> None:
        """No one reads the stream any more, so open rollouts need not be judged."""
        self._abandoned = True
        if self.open:
            self._given_up()

    def is_abandoned(self, token: object) -> bool:
        """Whether no one waits for a result: see `ResultSink`."""
        return self._abandoned

    def finish(self) -> None:
        """No more rollouts come, so all groups are complete."""
        with self._lock:
            groups = list(self._groups.values())
            waiting = [group for group in groups if group.held and len(group.rollouts) != group.size]
            for group in groups:
                group.size = len(group.rollouts)
        for group in waiting:
            self._send(group, group.rollouts, 0)
        for group in groups:
            self._emit_if_complete(group)

    def deliver(self, tokens: Sequence[Any], results: Sequence[RolloutResult | BaseException]) -> None:
        """Take results: see `ResultSink`."""
        if self._abandoned:
            return
        for (group, place), result in zip(tokens, results, strict=True):
            with self._lock:
                self.open -= 1
            if isinstance(result, RolloutResult):
                group.scored[place] = result
                self._emit_if_complete(group)
            elif not self._failed:
                # The first error ends the stream. Later results are ignored.
                self._failed = True
                self._emit(result)
        self._progress()

    def _emit_if_complete(self, group: OpenGroup) -> None:
        with self._lock:
            if not group.size or len(group.scored) != group.size:
                return
            group_id = group.rollouts[0].group_id
            if self._groups.get(group_id) is not group:
                return
            del self._groups[group_id]
        table = table_of([group.scored[place] for place in range(group.size)], kept=self._kept)
        if self._record is not None:
            self._record(group.rollouts, table, self._order.labels)
        self._emit(table)


_S = TypeVar("_S")


def grouped(source: _S) -> _S | list[list[Rollout]]:
    """Groups, where the source is a batch whose groups are all in it; else the source."""
    if not isinstance(source, Sequence) or not all(isinstance(item, Rollout) for item in source):
        return source
    groups: dict[str, list[Rollout]] = {}
    for rollout in source:
        groups.setdefault(rollout.group_id, []).append(rollout)
    return list(groups.values())
