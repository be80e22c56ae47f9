"""What a recipe's method reads besides the rewards: taken from rollouts and scores as its sources say, and made arrays.

Two steps: `values_of` reads rollouts, and refuses those that lack something, before anything is scored; `arrays_of`
makes the arrays once the scores are there. What is missing of a rollout is never a number: it leaves the rollout out,
or is marked in the input that says which entries count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer_client._errors import RolloutError
from trainer_client.recipe.inputs import Bound, Plan, Source, sources_of
from trainer_client.rollout.content import read_turns
from trainer_client.rollout.types import Rollout

if TYPE_CHECKING:
    from trainer_client.signals import Input

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Column: TypeAlias = Callable[[Source], FloatArray]
"""``[N]`` scores or aspects of a source; NaN where there is none."""

POLICY_STEPS = "@policy_step"
"""Where the steps of the policies lie, beside what a recipe's sources give; no source is called so."""
_ABSENT = object()
_COMPARE: Mapping[str, Callable[[Any, float], Any]] = {
    "at_least": np.greater_equal,
    "above": np.greater,
    "at_most": np.less_equal,
    "below": np.less,
}


def values_of(plan: Plan | None, rollouts: Sequence[Rollout], *, strict: bool = True) -> dict[str, list[Any]]:
    """What the rollouts hold of the sources of a plan, by the name of the source.

    Inputs that the recipe does not name are read where every rollout has them, and the steps of the policies that wrote
    the rollouts, where some have them: see `ScoreTable.policy_steps`.

    Args:
        plan: what supplies the inputs; None for a recipe without a method.
        rollouts: the rollouts.
        strict: whether to refuse rollouts that lack something which the method needs; otherwise it is left out here,
            and the method refuses the batch.

    Raises:
        RolloutError: a rollout lacks something that the method needs.
    """
    values = _policy_steps(rollouts, strict=strict)
    if plan is None:
        return values
    for name, sources in plan.sources().items():
        for source in sources:
            if not source.is_of_rollout or source.base in values:
                continue
            found_values = [_value(source, rollout) for rollout in rollouts]
            asked_for = name not in plan.held
            # A key that is nowhere has a typing error; a null says that there is nothing.
            nowhere = asked_for and all(value is _ABSENT for value in found_values)
            found_values = [None if value is _ABSENT else value for value in found_values]
            lacking = [row for row, value in enumerate(found_values) if value is None]
            if lacking and strict and (nowhere or _is_needed(plan, name)):
                raise _lacks(name, source, rollouts[lacking[0]], len(lacking))
            if asked_for or not lacking:
                values[source.base] = found_values
    return values


def _policy_steps(rollouts: Sequence[Rollout], *, strict: bool) -> dict[str, list[Any]]:
    # Not of the metadata, which servers are told: what a response is worth does not depend on it.
    steps = [rollout.extra.get("policy_step") if rollout.extra else None for rollout in rollouts]
    if all(step is None for step in steps):
        return {}
    return {POLICY_STEPS: [_oldest(value, rollout, strict) for value, rollout in zip(steps, rollouts, strict=True)]}


def _oldest(value: Any, rollout: Rollout, strict: bool) -> float | None:
    """The step of the policy that wrote a rollout; of one that several have written, the oldest."""
    steps = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is None or not len(steps):
        return None
    if any(isinstance(step, bool) or not hasattr(step, "__index__") or step < 0 for step in steps):
        if not strict:
            return None
        raise RolloutError(
            f"expected a whole number from 0, or a list of them, found {value!r}",
            "policy_step",
            rollout.rollout_id,
        )
    return float(min(steps))


def joined(tables: Sequence[Mapping[str, list[Any]]], lengths: Sequence[int]) -> dict[str, list[Any]]:
    """The values of several tables, one after the other; of the sources that all of them have."""
    names = [name for name in tables[0] if all(name in table for table in tables)]
    values = {name: [value for table in tables for value in table[name]] for name in names}
    if any(POLICY_STEPS in table for table in tables):
        steps = [table.get(POLICY_STEPS, [None] * length) for table, length in zip(tables, lengths, strict=True)]
        values[POLICY_STEPS] = [value for part in steps for value in part]
    return values


def _is_needed(plan: Plan, name: str) -> bool:
    """Whether the method cannot do without, and no other input can take the place."""
    declared = _declared(name)
    if declared.kind == "rows" or declared.beside:
        return False
    if name not in plan.held:
        return True
    for wish in plan.needed:
        choice = wish.split("|")
        if name in choice:
            # Arrays of tokens say how many tokens there are.
            written_inputs = plan.bound.keys() - plan.held
            counted = name == "lengths" and any(
                "T" in _declared(name_of_input).axes for name_of_input in written_inputs
            )
            return not counted and not any(
                name_of_input in plan.bound for name_of_input in choice if name_of_input != name
            )
    return False


def _lacks(name: str, source: Source, rollout: Rollout, number: int) -> RolloutError:
    many = f" ({number} rollouts lack it)" if number > 1 else ""
    other = "extra" if source.kind == "metadata" else "metadata"
    held = rollout.extra if source.kind == "metadata" else rollout.metadata
    if source.kind in ("metadata", "extra") and below(held or {}, source.path, _ABSENT) is not _ABSENT:
        remedy = f'Here it is "{other}.{".".join(source.path)}"'
    else:
        remedy = (
            f'Give it to every rollout, say [inputs] {name} = "SOURCE", or "call" where code gives it to table.estimate'
        )
    return RolloutError(
        f"{source.base} is missing{many}; the recipe's method reads it as {name} ({_declared(name).meaning}). {remedy}",
        source.base,
        rollout.rollout_id,
    )


def _declared(name: str) -> Input:
    from trainer_client.signals import INPUTS

    return INPUTS[name]


def _value(source: Source, rollout: Rollout) -> Any:
    """What a rollout holds of a source; null as None, and `_ABSENT` where there is no such key."""
    if source.kind == "field":
        value = getattr(rollout, source.name)
        if source.name == "token_ids":
            # An answer that ended at once has no token ids to give, and is known to be 0 tokens long by its empty text.
            return value if len(value) or not rollout.response else None
        if source.name == "finish_reason":
            return value or None
    else:
        value = (rollout.metadata if source.kind == "metadata" else rollout.extra) or {}
    return below(value, source.path, _ABSENT)


def below(value: Any, path: Sequence[str], absent: Any = None) -> Any:
    """What lies at the end of a path of keys and places; ``absent`` where there is none."""
    for key in path:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return absent
    return value


class Arrays(NamedTuple):
    """Inputs of a method.

    Attributes:
        inputs: arrays and lists by the names of ``signals.INPUTS``.
        known: ``[N]`` rollouts of which nothing is missing that they need.
    """

    inputs: dict[str, Any]
    known: BoolArray


def arrays_of(plan: Plan, values: Mapping[str, list[Any]], rollout_ids: Sequence[str], column: Column) -> Arrays:
    """The inputs of a plan.

    Args:
        plan: what supplies them.
        values: what the rollouts hold: see `values_of`.
        rollout_ids: ``N`` ids.
        column: gives scores and aspects.

    Raises:
        RolloutError: a value has another form than its input.
    """
    builder = _Builder(plan, values, rollout_ids, column)
    for name, bound in plan.bound.items():
        if not any(
            source.kind in ("call", "stage") or (source.is_of_rollout and source.base not in values)
            for source in sources_of(bound)
        ):
            builder.add(_declared(name), bound)
    builder.count_tokens()
    return Arrays(builder.inputs, builder.known)


class _Builder:
    def __init__(self, plan: Plan, values: Mapping[str, list[Any]], ids: Sequence[str], column: Column) -> None:
        self._plan = plan
        self._values = values
        self._ids = ids
        self._column = column
        self._widths: dict[str, int] = {}
        self._token_lists: dict[str, list[Any]] = {}
        self.inputs: dict[str, Any] = {}
        self.known: BoolArray = np.ones(len(ids), np.bool_)

    def add(self, declared: Input, source: Bound) -> None:
        """Make one input."""
        if not isinstance(source, Source):
            numbers = self._stacked(declared, source)
            self._put(declared, numbers, ~np.isnan(numbers))
        elif source.kind in ("reward", "aspect") or (
            declared.axes == "N" and declared.kind in ("float", "int", "bool")
        ):
            numbers = self._numbers(declared, source)
            self._put(declared, numbers, ~np.isnan(numbers))
        elif declared.axes == "NN":
            self.inputs[declared.name] = self._square(declared, self._values[source.base])
        elif declared.kind in ("ids", "rows"):
            self.inputs[declared.name] = [_plain(declared, value) for value in self._values[source.base]]
        else:
            rows = [np.asarray(value) if hasattr(value, "__array__") else value for value in self._values[source.base]]
            if declared.axes == "NT":
                self._token_lists[declared.name] = rows
            else:
                self._table(declared, rows)

    def _stacked(self, declared: Input, columns: Sequence[Source | tuple[Source, ...]]) -> FloatArray:
        """``[N, K]`` numbers of columns, ``[N, J, C]`` of rows of them."""
        return np.stack(
            [
                self._numbers(declared, one) if isinstance(one, Source) else self._stacked(declared, one)
                for one in columns
            ],
            axis=1,
        )

    def _numbers(self, declared: Input, source: Source) -> FloatArray:
        """``[N]`` numbers of a source, NaN where there is none, with what the recipe says to make of them."""
        if source.kind == "number":
            return np.full(len(self._ids), source.threshold)
        if source.kind in ("reward", "aspect"):
            numbers = self._column(source)
        else:
            column = self._values[source.base]
            numbers = np.array([self._number(declared, source, row, value) for row, value in enumerate(column)])
        numbers = numbers * source.times + source.plus
        if source.comparison:
            truths = _COMPARE[source.comparison](numbers, source.threshold)
            return np.where(np.isnan(numbers), np.nan, truths)
        if declared.kind == "bool":
            odd = np.flatnonzero(~np.isnan(numbers) & (numbers != 0) & (numbers != 1))
            if odd.size:
                raise RolloutError(
                    f"{source} is {numbers[odd[0]]:g}, neither 0 nor 1; say from which value on it is true: "
                    f'{declared.name} = {{ from = "{source.base}", at_least = 0.5 }}',
                    declared.name,
                    self._ids[odd[0]],
                )
        return numbers

    def _number(self, declared: Input, source: Source, row: int, value: Any) -> float:
        if value is None:
            return np.nan
        if source.name == "finish_reason":
            return float(value == "length")
        if source.name == "token_ids" and declared.name == "lengths":
            return float(len(value))
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise self._wrong(declared, row, f"expected a number, found {_clipped(value)}") from None

    def _put(self, declared: Input, numbers: FloatArray, present: BoolArray) -> None:
        """Take numbers in, and say of those that are missing what that means."""
        if not present.all():
            if declared.beside:
                self._beside(declared, present)
            else:
                self.known &= present.reshape(len(present), -1).all(axis=1)
        filled = np.where(present, numbers, 0.0)
        kinds: Mapping[str, Any] = {"bool": np.bool_, "int": np.int64, "ids": np.int64}
        if declared.kind == "ids" and (filled % 1).any():
            row = int(np.flatnonzero(filled % 1)[0])
            raise self._wrong(
                declared, row, f"{filled[row]:g} is not a whole number, and this input is a label of groups"
            )
        self.inputs[declared.name] = filled.astype(kinds[declared.kind]) if declared.kind in kinds else filled

    def _beside(self, declared: Input, present: BoolArray) -> None:
        """Mark which entries count, where nothing else says it."""
        if declared.beside not in self._plan.bound and declared.beside in self._plan.reads:
            self.inputs[declared.beside] = present

    def _square(self, declared: Input, rows: list[Any]) -> FloatArray:
        """``[N, N]``: of each rollout a number for each other one, by its id or in the order of the batch."""
        square = np.zeros((len(rows), len(rows)))
        place = {rollout_id: number for number, rollout_id in enumerate(self._ids)}
        for row, value in enumerate(rows):
            if isinstance(value, Mapping):
                numbers = {place[key]: number for key, number in value.items() if key in place}
                square[row, list(numbers)] = list(numbers.values())
            elif len(value) == len(rows):
                square[row] = value
            else:
                raise self._wrong(declared, row, f"expected {{rollout_id: number}} or {len(rows)} numbers")
        return square

    def _table(self, declared: Input, rows: list[Any]) -> None:
        """``[N, K]`` or ``[N, J, C]`` of a list a rollout; a null in it, or in its place, is missing."""
        empty = np.zeros((0,) * (len(declared.axes) - 1))
        missing = np.array([value is None for value in rows])
        try:
            arrays = [empty if value is None else np.array(value, np.float64) for value in rows]
        except (TypeError, ValueError):
            arrays = []
        if not arrays or any(array.ndim != len(declared.axes) - 1 for array in arrays):
            raise self._wrong(declared, 0, f"expected a list of numbers, nested {len(declared.axes) - 1} deep")
        shape = tuple(max(lengths) for lengths in zip(*(a.shape for a in arrays), strict=True))
        table = np.full((len(arrays), *shape), np.nan)
        for row, item in enumerate(arrays):
            if item.shape != shape and not declared.beside and not missing[row]:
                raise self._wrong(declared, row, f"has {item.shape} numbers, but another rollout has {shape}")
            place: tuple[Any, ...] = (row, *(slice(length) for length in item.shape))
            table[place] = item
        self._put(declared, table, ~np.isnan(table))

    def count_tokens(self) -> None:
        """Pad what has an entry per token to one width, and say how many tokens count where nothing else does."""
        if not self._token_lists:
            return
        counts = self._counts()
        width = int(max(counts.max(initial=0), max(_longest(rows) for rows in self._token_lists.values())))
        for name, rows in self._token_lists.items():
            declared = _declared(name)
            kinds: Mapping[str, Any] = {"bool": np.bool_, "int": np.int64, "float": np.float64}
            padded = np.zeros((len(rows), width), kinds[declared.kind])
            for row, value in enumerate(rows):
                try:
                    padded[row, : len(value)] = np.asarray(value)
                except (TypeError, ValueError):
                    raise self._wrong(declared, row, "expected a list with an entry per token") from None
            self.inputs[name] = padded
        masked = "mask" in self._token_lists
        if not masked and "lengths" not in self.inputs and self._plan.reads & {"lengths", "mask"}:
            self.inputs["lengths"] = counts

    def _counts(self) -> NDArray[np.int64]:
        """``[N]`` tokens of each rollout, on which all its lists agree; an array may go on with padding."""
        lists = self._token_lists
        first = next(iter(lists))
        counts = np.array([len(value) for value in lists[first]], np.int64)
        if "mask" not in lists and "lengths" in self.inputs:
            counts, first = np.asarray(self.inputs["lengths"], np.int64), "lengths"
        for name, rows in lists.items():
            for row, value in enumerate(rows):
                if len(value) < counts[row] or (len(value) > counts[row] and not isinstance(value, np.ndarray)):
                    reason = f"has {len(value)} entries where {first} has {counts[row]}; each token needs one"
                    raise self._wrong(_declared(name), row, reason)
        return counts

    def _wrong(self, declared: Input, row: int, reason: str) -> RolloutError:
        return RolloutError(reason, declared.name, self._ids[row])


def _longest(rows: Sequence[Sized]) -> int:
    return max((len(value) for value in rows), default=0)


def _plain(declared: Input, value: Any) -> Any:
    """An id or an object of a row; a conversation where a text is wanted gives the texts in it."""
    if declared.name in ("texts", "questions") and not isinstance(value, str) and value is not None:
        return "\n".join(part.text for turn in read_turns(value) for part in turn.parts if part.kind == "text")
    if declared.name == "token_lists":
        return [int(token) for token in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _clipped(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
