"""Rows that are turns of a trajectory: a method that knows nothing of turns sees each trajectory once.

Trainers that cut a conversation into one row a turn put the trajectory's reward on each of its rows. A mean over rows
then counts a trajectory once for each of its turns; long ones pull the baseline towards themselves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import InputError, OptionError
from trainer_client.signals._inputs import INPUTS
from trainer_client.signals._signal import Signal

_BY_ROW = ("keep", "weights", "advantages", "rewards", "budget", "copies", "feature_advantages")
_BY_TOKEN = ("token_advantages", "token_weights", "returns")


class Turns:
    """A batch of turns, and the batch of its trajectories.

    Args:
        batch: carries ``trajectories``.
        name: of the method, for errors.
        reads: inputs of the method.

    Attributes:
        joined: one row per trajectory: its reward and whatever else its rows agree on, its tokens added up. It takes
            part if any of its rows does.

    Raises:
        InputError: rows of a trajectory differ in what the method reads.
        OptionError: the method reads tokens, which rows of their own must keep.
    """

    def __init__(self, batch: SignalBatch, name: str, reads: frozenset[str]) -> None:
        self.batch = batch
        self.name = name
        trajectories = batch.ids("trajectories")
        self.episodes = batch.groups.cross(trajectories) if "groups" in batch else trajectories
        order = np.where(batch.valid, 0, batch.rows) + np.arange(batch.rows)
        first = self.episodes.min(order) % max(batch.rows, 1) if batch.rows else np.zeros(0, np.int64)
        self._first: AnyArray = first.astype(np.int64)
        columns: dict[str, Any] = dict.fromkeys(batch.names)
        for column in batch.names & (reads | {"groups"}) - {"lengths", "mask"}:
            columns[column] = self._per_trajectory(column)
        if batch.names & {"lengths", "mask"} and reads & {"lengths", "mask"}:
            columns["lengths"] = self.episodes.sum(np.where(batch.valid, batch.lengths, 0)).astype(np.int64)
        self.joined = _batch_of(batch, self.episodes.any(batch.valid), columns)

    @property
    def alike(self) -> bool:
        """Whether each trajectory is one row, so that nothing is to be joined."""
        return len(self.episodes) == self.batch.rows

    def _per_trajectory(self, column: str) -> Any:
        """A column's value for each trajectory."""
        batch, declared = self.batch, INPUTS[column]
        if declared.axes in ("NT", "NN"):
            raise OptionError(
                f"{self.name}: reads {column} of each row, so that it cannot count a trajectory of several rows once; "
                "choose a method that reads trajectories, such as gigpo, or pass one row per trajectory"
            )
        if declared.kind == "ids":
            partition = batch.ids(column)
            self._agree(column, partition.index == self.episodes.spread(partition.index[self._first]))
            return partition.labels[partition.index[self._first]].tolist()
        if declared.kind == "rows":
            listed = batch.objects(column)
            owner = self.episodes.spread(self._first)
            self._agree(column, np.array([listed[i] == listed[j] for i, j in enumerate(owner)], np.bool_))
            return [listed[row] for row in self._first]
        values = batch[column]
        if column == "truncated":
            return self.episodes.any(values & batch.valid)
        same = values == self.episodes.spread(values[self._first])
        if declared.beside in batch:
            same |= ~batch[declared.beside]
        self._agree(column, same.reshape(batch.rows, -1).all(1))
        return values[self._first]

    def _agree(self, column: str, same: BoolArray) -> None:
        odd = np.flatnonzero(self.batch.valid & ~same)
        if odd.size:
            first = int(self._first[self.episodes.index[odd[0]]])
            raise InputError(
                f"{column}: rows {first} and {odd[0]} are of one trajectory and differ, while {self.name} takes one "
                "value per trajectory; put the trajectory's own on each of its rows, or leave trajectories= out"
            )

    def spread(self, signal: Signal) -> Signal:
        """The signal of the trajectories, on each of their rows."""
        if any(getattr(signal, field) is not None for field in _BY_TOKEN):
            raise OptionError(
                f"{self.name}: gives one value a token, which cannot be split over the rows of a trajectory; pass one "
                "row per trajectory, with the mask of its own tokens"
            )
        fields = {
            field: self.episodes.spread(value) for field in _BY_ROW if (value := getattr(signal, field)) is not None
        }
        rows = self._first
        pairs, requests = signal.pairs, signal.requests
        if pairs is not None:
            pairs = [replace(p, chosen=int(rows[p.chosen]), rejected=int(rows[p.rejected])) for p in pairs]
        if requests is not None:
            requests = [replace(request, row=int(rows[request.row])) for request in requests]
        return self.batch.signal(**fields, pairs=pairs, requests=requests, report=signal.report)


def _batch_of(batch: SignalBatch, valid: BoolArray, columns: dict[str, Any]) -> SignalBatch:
    joined = SignalBatch(
        columns.pop("rewards", None),
        columns.pop("groups", None),
        valid,
        step=batch.step,
        sharded=batch.sharded,
        reduce=batch.reduce,
        **columns,
    )
    joined.ahead = batch.ahead
    return joined


def joins(batch: SignalBatch, reads: frozenset[str]) -> bool:
    """Whether a batch has trajectories that a method does not ask for."""
    return "trajectories" in batch.names - reads
