"""`SignalBatch`: what an estimator reads. One container for all methods, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import (
    AnyArray,
    BoolArray,
    FloatArray,
    IntArray,
    Reduce,
    as_bools,
    as_floats,
    as_ints,
    require_finite,
    require_length,
)
from trainer_client.signals._errors import InputError, MissingInputError, did_you_mean
from trainer_client.signals._groups import GroupIds, Groups
from trainer_client.signals._inputs import INPUTS, Input
from trainer_client.signals._signal import Signal


class SignalBatch:
    """Rollouts of one step with everything known of them.

    Args:
        rewards: ``[N]``; entries of rows that are not valid may be NaN.
        groups: ``[N]`` ids of the prompts, or `Groups`.
        valid: ``[N]`` rows that take part; None for all.
        step: number of the optimiser step, for schedules.
        sharded: True when this is one rank's part of the step; batch-level estimators then need ``reduce``.
        reduce: elementwise sum of a small array over ranks.
        inputs: further arrays under the names of `INPUTS`.

    Attributes:
        rows: number of rollouts.
        ahead: what the later stages of a pipeline read; empty outside of one. A filter looks at that.

    Raises:
        InputError: a name is unknown, a shape does not fit, or an entry that counts is not finite or out of range.
    """

    __slots__ = ("_columns", "_valid", "ahead", "reduce", "rows", "sharded", "step")

    def __init__(
        self,
        rewards: ArrayLike | None = None,
        groups: GroupIds | Groups | None = None,
        valid: ArrayLike | None = None,
        *,
        step: int | None = None,
        sharded: bool = False,
        reduce: Reduce | None = None,
        **inputs: Any,
    ) -> None:
        arrays = {"rewards": rewards, "groups": groups, **inputs}
        self.step = step
        self.sharded = sharded
        self.reduce = reduce
        self.ahead: frozenset[str] = frozenset()
        self._columns: dict[str, Any] = {}
        lengths: dict[str, tuple[str, int]] = {}
        for name, value in arrays.items():
            if value is None:
                continue
            if name not in INPUTS:
                names = ", ".join(sorted(INPUTS))
                raise InputError(f"{name}: not an input of a batch; {did_you_mean(name, INPUTS)}known are {names}")
            self._columns[name] = _read(INPUTS[name], value, lengths)
        if "N" not in lengths:
            raise MissingInputError("rewards: a batch needs at least one input with a row per rollout")
        self.rows = lengths["N"][1]
        mask = np.ones(self.rows, np.bool_) if valid is None else as_bools("valid", valid, 1)
        require_length("valid", mask.size, self.rows)
        self._valid = mask
        for name, value in self._columns.items():
            if INPUTS[name].kind == "float":
                self._columns[name] = self._clean(INPUTS[name], value)

    def _clean(self, declared: Input, array: FloatArray) -> FloatArray:
        """Refuse NaN and infinity where they count, and put 0 where they do not."""
        where: BoolArray = np.ones(array.shape, np.bool_)
        if declared.axes.startswith("N"):
            where &= self._valid.reshape((-1,) + (1,) * (array.ndim - 1))
        if declared.axes == "NN":
            where &= self._valid
        if declared.beside in self._columns:
            where &= self._columns[declared.beside]
        elif declared.axes == "NT" and ("mask" in self._columns or "lengths" in self._columns):
            where &= self.mask
        require_finite(declared.name, array, where)
        _require_within(declared, array, where)
        if declared.name == "token_rewards":
            _require_inside(declared.name, array, where, self._valid)
        return array if bool(where.all()) else np.where(where, array, 0.0)

    @property
    def names(self) -> frozenset[str]:
        """Names of the inputs that the batch carries."""
        return frozenset(self._columns)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> AnyArray:
        """The array of a ``float``, ``int`` or ``bool`` input.

        Raises:
            MissingInputError: the batch does not carry it.
        """
        array: AnyArray = self._get(name)
        return array

    def ids(self, name: str) -> Groups:
        """The partition by an ``ids`` input."""
        partition: Groups = self._get(name)
        return partition

    def objects(self, name: str) -> Sequence[Any]:
        """The list of a ``rows`` input."""
        listed: Sequence[Any] = self._get(name)
        return listed

    def _get(self, name: str) -> Any:
        try:
            return self._columns[name]
        except KeyError:
            meaning = f" ({INPUTS[name].meaning})" if name in INPUTS else ""
            raise MissingInputError(
                f"{name}: the batch does not carry it{meaning}; pass {name}= to SignalBatch"
            ) from None

    @property
    def valid(self) -> BoolArray:
        """``[N]`` rows that take part."""
        return self._valid

    @property
    def rewards(self) -> FloatArray:
        """``[N]`` rewards; 0 where not valid."""
        return self["rewards"]

    @property
    def groups(self) -> Groups:
        """The partition by prompt."""
        return self.ids("groups")

    @property
    def mask(self) -> BoolArray:
        """``[N, T]`` generated tokens: ``mask``, or made from ``lengths``."""
        if "mask" in self._columns:
            return self["mask"]
        if "lengths" not in self._columns:
            raise MissingInputError("mask: the batch carries neither mask nor lengths; pass one of them to SignalBatch")
        lengths = self["lengths"]
        width = next(
            (a.shape[1] for n, a in self._columns.items() if INPUTS[n].axes == "NT"),
            int(lengths.max(initial=0)),
        )
        mask: BoolArray = np.arange(width) < lengths[:, None]
        return mask

    @property
    def lengths(self) -> IntArray:
        """``[N]`` generated tokens: ``lengths``, or counted from ``mask``."""
        if "lengths" in self._columns:
            return self["lengths"]
        counted: IntArray = self.mask.sum(1)
        return counted

    @property
    def token_rewards(self) -> FloatArray:
        """``[N, T]``: ``token_rewards`` within the mask, or the reward on the last generated token."""
        mask = self.mask
        if "token_rewards" in self._columns:
            return np.where(mask, self["token_rewards"], 0.0)
        placed = np.zeros(mask.shape)
        rows = np.flatnonzero(mask.any(1))
        last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        placed[rows, last[rows]] = self.rewards[rows]
        return placed

    @property
    def components_given(self) -> BoolArray:
        """``[N, K]`` components that hold a verdict in rows that take part."""
        rows = np.repeat(self._valid[:, None], self["components"].shape[1], axis=1)
        return rows & self["components_valid"] if "components_valid" in self else rows

    def taken(self) -> tuple[BoolArray, Groups]:
        """The valid rows, and the partition by prompt restricted to them."""
        return self._valid, self.groups.take(self._valid)

    def scatter(self, values: AnyArray) -> FloatArray:
        """Put values of the valid rows back into ``[N, ...]``; 0 elsewhere."""
        full = np.zeros((self.rows, *values.shape[1:]))
        full[self._valid] = values
        return full

    def replace(self, *, valid: ArrayLike | None = None, **inputs: Any) -> SignalBatch:
        """A copy with some inputs or the mask replaced; None removes an input."""
        columns = {**self._columns, **inputs}
        changed = SignalBatch(
            valid=self._valid if valid is None else valid,
            step=self.step,
            sharded=self.sharded,
            reduce=self.reduce,
            **columns,
        )
        changed.ahead = self.ahead
        return changed

    def signal(self, *, keep: BoolArray | None = None, **fields: Any) -> Signal:
        """A `Signal` for this batch: rows that are not valid, or not kept, get weight and advantage 0."""
        valid = self._valid.copy()
        keep_mask = np.ones(self.rows, np.bool_) if keep is None else keep
        live = valid & keep_mask
        for name in ("advantages", "weights", "token_advantages", "token_weights", "feature_advantages"):
            array = fields.get(name)
            if array is not None and not bool(live.all()):
                fields[name] = np.where(live.reshape((-1,) + (1,) * (array.ndim - 1)), array, 0.0)
        if fields.get("weights") is None:
            fields["weights"] = live.astype(np.float64)
        return Signal(valid=valid, keep=keep_mask, **fields)

    def before(self, ahead: frozenset[str]) -> SignalBatch:
        """The same batch, knowing what later stages read."""
        duplicate = copy(self)
        duplicate.ahead = ahead
        return duplicate

    def after(self, signal: Signal) -> SignalBatch:
        """The batch that a later stage sees: new rewards, and only the rows that were kept."""
        changed: Mapping[str, Any] = {} if signal.rewards is None else {"rewards": signal.rewards}
        return self.replace(valid=self._valid & signal.valid & signal.keep, **changed)


def _require_within(declared: Input, array: FloatArray, where: BoolArray) -> None:
    """Refuse values outside the range that an input declares."""
    if declared.within is None:
        return
    low, high = declared.within
    bad = np.argwhere(where & ((array < low) | (array > high)))
    if bad.size:
        place = f"row {bad[0][0]}" + (f", column {bad[0][1]}" if array.ndim > 1 else "")
        raise InputError(
            f"{declared.name}: {place} holds {array[tuple(bad[0])]} ({len(bad)} such entries); it lies between {low:g} "
            f"and {high:g}, map it there"
        )


def _require_inside(name: str, array: FloatArray, mask: BoolArray, valid: BoolArray) -> None:
    """Refuse a reward on a token that the policy did not generate, where no credit could reach it."""
    lost = np.argwhere(valid[:, None] & ~mask & np.isfinite(array) & (array != 0))
    if lost.size:
        row, column = (int(i) for i in lost[0])
        raise InputError(
            f"{name}: row {row}, column {column} holds {array[row, column]} outside the mask ({len(lost)} such "
            "entries), on a token that the policy did not generate; put it on the last generated token before"
        )


def _read(declared: Input, value: Any, lengths: dict[str, tuple[str, int]]) -> Any:
    """Convert an input to its kind, and hold its axes against those read before."""
    name, axes = declared.name, declared.axes
    converted: Any
    if declared.kind == "ids":
        converted = Groups.of(value, name)
        shape: tuple[int, ...] = (converted.rows,)
    elif declared.kind == "rows":
        converted = list(value)
        shape = (len(converted),)
    else:
        convert = {"float": as_floats, "int": as_ints, "bool": as_bools}[declared.kind]
        converted = convert(name, value, len(axes))
        shape = converted.shape
    for letter, length in zip(axes, shape, strict=True):
        first, expected = lengths.setdefault(letter, (name, length))
        if length != expected:
            raise InputError(
                f"{name}: axis {letter} has length {length} where {first} has {expected}; all inputs of a batch agree"
            )
    return converted
