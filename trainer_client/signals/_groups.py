"""`Groups`: which rows belong together, and statistics over them without a loop over groups.

Groups may be interleaved and of unequal size. Three layouts are told apart once, because the common one
(contiguous, equal) is several times faster as a reshape: *uniform*, *contiguous*, and *scattered*.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray, IntArray, as_array
from trainer_client.signals._errors import InputError

GroupIds = ArrayLike | Iterable[Hashable]
QuantileMethod = Literal["linear", "lower", "higher"]

TOLERANCE = 1e-6
"""Values are *constant* when their deviation is at most this share of their size: some units in float32's last place.

What single precision leaves of equal rewards, or a weighted sum of them in another order, is no signal; filters and
estimators alike go by this one number.
"""


class Groups:
    """A partition of ``N`` rows into ``Q`` groups, numbered by first appearance.

    Attributes:
        labels: ``[Q]`` the caller's ids.
        sizes: ``[Q]`` rows per group.
        rows: number of rows ``N``.
        contiguous: whether the rows of each group stand together.
    """

    __slots__ = ("_index", "_order", "_starts", "_uniform", "contiguous", "labels", "rows", "sizes")

    def __init__(self, labels: AnyArray, sizes: IntArray, *, index: IntArray | None, contiguous: bool) -> None:
        self.labels = labels
        self.sizes = sizes
        self.rows = int(sizes.sum())
        self.contiguous = contiguous
        self._index = index
        self._starts: IntArray | None = None
        self._order: IntArray | None = None
        size = int(self.sizes[0]) if self.sizes.size else 0
        self._uniform = size if self.contiguous and size and bool((self.sizes == size).all()) else 0

    @classmethod
    def of(cls, ids: GroupIds | Groups, name: str = "groups") -> Groups:
        """Group rows by equal ids (integers, strings, or any hashable values).

        Args:
            ids: one per row: a list, an array, or a tensor of any library that numpy can read.
            name: what errors call them.

        Raises:
            InputError: ids are not one per row, or cannot be told apart by their value: floating-point numbers, None,
                objects that are equal only to themselves.
        """
        if isinstance(ids, Groups):
            return ids
        array = as_array(name, ids) if hasattr(ids, "__array__") else None
        if array is None:
            items = list(ids)  # type: ignore[arg-type]
            array = _integers(items)
            if array is None:
                return cls._of_hashables(items, name)
        if array.ndim != 1:
            raise InputError(f"{name}: expected one id per row, found shape {array.shape}")
        if array.dtype.kind == "f" and array.size:
            raise InputError(f"{name}: floating-point ids cannot be compared safely; pass integers or strings")
        if array.size == 0:
            return cls(array, np.zeros(0, np.int64), index=None, contiguous=True)
        if array.dtype.kind not in "iubUS":
            return cls._of_hashables(array.tolist(), name)
        return cls._of_array(array)

    @classmethod
    def _of_array(cls, array: AnyArray) -> Groups:
        """Factorise by runs, so that contiguous groups cost one comparison per row."""
        labels, lengths = _equal_runs(array) or _runs(array)
        if labels.dtype.kind in "iu" and bool((labels[1:] > labels[:-1]).all()):
            return cls(labels, lengths, index=None, contiguous=True)
        distinct, run_index = _numbered(labels)
        if distinct.size == labels.size:
            return cls(labels, lengths, index=None, contiguous=True)
        index = np.repeat(run_index, lengths)
        return cls(distinct, np.bincount(index), index=index, contiguous=False)

    @classmethod
    def _of_hashables(cls, items: list[Any], name: str) -> Groups:
        # A tensor without axes is a number in a box; boxes are equal only to themselves.
        texts = set(map(type, items)) == {str}
        if not texts:
            items = [as_array(name, item).tolist() if hasattr(item, "__array__") else item for item in items]
        try:
            numbers = {label: i for i, label in enumerate(dict.fromkeys(items))}
        except TypeError as error:
            raise InputError(f"{name}: {error}; ids must be integers, strings or hashable values") from None
        for label in () if texts else numbers:
            if fault := _without_value(label):
                raise InputError(f"{name}: row {items.index(label)} holds {fault}; pass integers or strings")
        index = np.fromiter(map(numbers.__getitem__, items), np.int64, len(items))
        labels = np.empty(len(numbers), object)
        labels[:] = list(numbers)
        contiguous = bool((np.diff(index, prepend=0) >= 0).all())
        return cls(labels, np.bincount(index, minlength=labels.size), index=index, contiguous=contiguous)

    def __len__(self) -> int:
        return int(self.labels.size)

    @property
    def index(self) -> IntArray:
        """``[N]`` number of each row's group."""
        if self._index is None:
            self._index = np.repeat(np.arange(len(self)), self.sizes)
        return self._index

    def take(self, rows: BoolArray) -> Groups:
        """The same partition restricted to some rows; groups left without rows disappear."""
        if bool(rows.all()):
            return self
        if self.contiguous:
            left = self.sum(rows).astype(np.int64)
            present = left > 0
            return Groups(self.labels[present], left[present], index=None, contiguous=True)
        # Numbered again: a group whose first row is not taken may now begin after another.
        numbers, index = _numbered(self.index[rows])
        return Groups(self.labels[numbers], np.bincount(index), index=index, contiguous=False)

    def blocks(self, rows: int) -> Iterator[tuple[slice, Groups]]:
        """Cut into parts of about ``rows`` rows that hold whole groups.

        Work on a part stays in the processor's cache. Scattered groups come as one part.
        """
        if not self.contiguous or self.rows <= rows:
            yield slice(0, self.rows), self
            return
        ends = np.cumsum(self.sizes)
        first, begin = 0, 0
        while begin < self.rows:
            last = min(int(np.searchsorted(ends, begin + rows)) + 1, len(self))
            end = int(ends[last - 1])
            part = slice(first, last)
            yield slice(begin, end), Groups(self.labels[part], self.sizes[part], index=None, contiguous=True)
            first, begin = last, end

    def cross(self, other: Groups) -> Groups:
        """The finer partition: rows are together when both partitions put them together."""
        return Groups.of(self.index * max(len(other), 1) + other.index)

    # Statistics [N, ...] -> [Q, ...]

    def sum(self, values: AnyArray) -> FloatArray:
        """Sum of each group; ``values`` is ``[N]`` or ``[N, T]``."""
        if values.ndim == 1 and not self.contiguous:
            total: FloatArray = np.bincount(self.index, values, len(self)).astype(np.float64, copy=False)
        elif self._uniform and values.ndim == 1:
            # numpy's sum over a short last axis is some four times slower than this.
            total = np.einsum("ij->i", self._fold(values), dtype=np.float64)
        elif self._uniform:
            total = self._fold(values).sum(axis=1, dtype=np.float64)
        elif not self.rows:
            total = np.zeros((0, *values.shape[1:]))
        else:
            total = np.add.reduceat(self._sorted(values), self.starts, axis=0, dtype=np.float64)
        return total

    def mean(self, values: AnyArray) -> FloatArray:
        """Mean of each group."""
        total = self.sum(values)
        return total / self.sizes.reshape((-1,) + (1,) * (total.ndim - 1))

    def max(self, values: AnyArray) -> AnyArray:
        """Largest value of each group."""
        return self._reduce(np.maximum, values)

    def min(self, values: AnyArray) -> AnyArray:
        """Smallest value of each group."""
        return self._reduce(np.minimum, values)

    def any(self, flags: BoolArray) -> BoolArray:
        """Whether any row of the group is flagged."""
        result: BoolArray = self.sum(flags) > 0
        return result

    def all(self, flags: BoolArray) -> BoolArray:
        """Whether every row of the group is flagged."""
        result: BoolArray = self.sum(flags) == self.sizes
        return result

    def first(self, values: AnyArray) -> AnyArray:
        """Value of each group's first row in batch order."""
        if self.contiguous:
            return values[self.starts]
        firsts = np.empty((len(self), *values.shape[1:]), values.dtype)
        # Of repeated indices the last assignment stands, which is the first row when walking backwards.
        firsts[self.index[::-1]] = values[::-1]
        return firsts

    def deviation(self, values: FloatArray, ddof: int = 0) -> FloatArray:
        """Standard deviation of each group; 0 where ``size <= ddof`` and, exactly, for constant values."""
        first = self.first(values)
        shifted = self.apply(np.subtract, values, first)
        centred = self.apply(np.subtract, shifted, self.mean(shifted))
        squares = self.sum(centred * centred)
        spread = (self.sizes > ddof) & ~self.is_constant(squares, first)
        return np.sqrt(squares / np.maximum(self.sizes - ddof, 1)) * spread

    def is_constant(self, squares: FloatArray, first: FloatArray, tolerance: float = TOLERANCE) -> BoolArray:
        """``[Q]`` groups without a spread of their own.

        Args:
            squares: ``[Q]`` sum of squared deviations from the group's mean.
            first: ``[Q]`` the group's first value, which stands for the size of all where they are nearly equal.
            tolerance: largest deviation that counts as none, as a share of that size.
        """
        constant: BoolArray = squares <= self.sizes * (tolerance * np.abs(first)) ** 2
        return constant

    def constant(self, values: FloatArray) -> BoolArray:
        """``[Q]`` groups whose values are equal, up to `TOLERANCE`."""
        result: BoolArray = self.deviation(values) == 0
        return result

    def quantile(self, values: FloatArray, q: float, method: QuantileMethod = "linear") -> FloatArray:
        """The ``q``-quantile of each group; ``lower`` and ``higher`` pick a member."""
        ordered = values[np.lexsort((values, self.index))]
        position = q * (self.sizes - 1)
        low, high = np.floor(position).astype(np.int64), np.ceil(position).astype(np.int64)
        at_low, at_high = ordered[self.starts + low], ordered[self.starts + high]
        picked: FloatArray = at_low + (at_high - at_low) * (position - low)
        if method != "linear":
            picked = at_low if method == "lower" else at_high
        return picked

    def median(self, values: FloatArray, method: QuantileMethod = "linear") -> FloatArray:
        """Median of each group; ``lower`` picks the lower of the two middle values of an even group."""
        return self.quantile(values, 0.5, method)

    def median_deviation(self, values: FloatArray) -> FloatArray:
        """``[Q]`` median absolute deviation from the median, both the lower of two middle values."""
        return self.median(np.abs(self.apply(np.subtract, values, self.median(values, "lower"))), "lower")

    def rank(self, values: AnyArray, *, descending: bool = False) -> IntArray:
        """Rank ``[N]`` of each row in its group, from 0; ties keep batch order."""
        ordered = np.lexsort((-values if descending else values, self.index))
        ranks = np.empty(self.rows, np.int64)
        ranks[ordered] = np.arange(self.rows) - np.repeat(self.starts, self.sizes)
        return ranks

    def members(self) -> Iterator[IntArray]:
        """Row numbers of each group, in batch order: a loop, for what makes objects of groups instead of numbers."""
        for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
            yield self.order[start : start + size]

    # Between the two shapes

    def spread(self, per_group: AnyArray) -> AnyArray:
        """Give every row its group's value: ``[Q, ...] -> [N, ...]``."""
        return np.repeat(per_group, self.sizes, axis=0) if self.contiguous else per_group[self.index]

    def apply(self, operator: np.ufunc, values: AnyArray, per_group: AnyArray) -> AnyArray:
        """``operator(values, spread(per_group))``, without building the spread array where it can be."""
        if self._uniform:
            folded: AnyArray = operator(self._fold(values), per_group[:, None])
            return folded.reshape(-1, *folded.shape[2:])
        result: AnyArray = operator(values, self.spread(per_group))
        return result

    @property
    def order(self) -> IntArray:
        """Row numbers sorted by group, batch order within a group."""
        if self._order is None:
            self._order = np.argsort(self.index, kind="stable")
        return self._order

    @property
    def starts(self) -> IntArray:
        """Position of each group's first row within ``order``."""
        if self._starts is None:
            self._starts = np.cumsum(self.sizes) - self.sizes
        return self._starts

    @property
    def position(self) -> IntArray:
        """``[N]`` place of each row within its group, counted from 0 in batch order."""
        place = np.empty(self.rows, np.int64)
        place[self.order] = np.arange(self.rows) - np.repeat(self.starts, self.sizes)
        return place

    def _fold(self, values: AnyArray) -> AnyArray:
        return values.reshape(-1, self._uniform, *values.shape[1:])

    def _sorted(self, values: AnyArray) -> AnyArray:
        return values if self.contiguous else values[self.order]

    def _reduce(self, operator: np.ufunc, values: AnyArray) -> AnyArray:
        if not self.rows:
            return values[:0]
        reduced: AnyArray = operator.reduceat(self._sorted(values), self.starts, axis=0)
        return reduced


def _integers(items: list[Any]) -> AnyArray | None:
    """A list of plain integers as an array; None for other ids, and for integers beyond 64 bits."""
    if not items or not all(map(int.__instancecheck__, items)):
        return None
    try:
        return np.asarray(items, dtype=np.int64)
    except OverflowError:
        return None


def _without_value(label: Any) -> str:
    """What is wrong with an id that says nothing of equality; empty for one that does."""
    if label is None:
        return "no id (None)"
    if isinstance(label, float):
        return f"the number {label!r}, and floating-point ids cannot be compared safely"
    compared: object = type(label).__eq__
    if compared is object.__eq__ and not isinstance(label, Enum):
        return f"a {type(label).__name__}, which is equal only to itself"
    return ""


def _runs(array: AnyArray) -> tuple[AnyArray, IntArray]:
    """Label and length of each run of equal ids."""
    starts = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(array[1:] != array[:-1]) + 1))
    return array[starts], np.diff(starts, append=array.size)


def _equal_runs(array: AnyArray) -> tuple[AnyArray, IntArray] | None:
    """The same where all runs are as long as the first, which is seen at half the cost."""
    size = int(np.argmax(array[:1024] != array[0]))
    if not size or array.size % size:
        return None
    table = array.reshape(-1, size)
    labels = table[:, 0]
    if bool((labels[1:] == labels[:-1]).any()) or not bool((table == labels[:, None]).all()):
        return None
    return labels.copy(), np.full(labels.size, size)


def _numbered(labels: AnyArray) -> tuple[AnyArray, IntArray]:
    """Distinct labels in the order in which they appear, and the number of each entry's label among them."""
    if not labels.size:
        return labels, np.zeros(0, np.int64)
    unique, first, inverse = _factorise(labels)
    by_appearance = np.argsort(first)
    rank = np.empty_like(by_appearance)
    rank[by_appearance] = np.arange(by_appearance.size)
    return unique[by_appearance], rank[inverse]


def _factorise(labels: AnyArray) -> tuple[AnyArray, IntArray, IntArray]:
    """Distinct labels, where each appears first, and the number of each entry's label."""
    if labels.dtype.kind in "iu":
        low, high = int(labels.min()), int(labels.max())
        if high - low < 4 * labels.size and high < 2**63:
            # Ids within a narrow range are numbered through a table, some ten times faster than by sorting.
            shifted = labels.astype(np.int64) - low
            table = np.full(high - low + 1, labels.size)
            table[shifted[::-1]] = np.arange(labels.size)[::-1]
            present = np.flatnonzero(table < labels.size)
            first = table[present]
            table[present] = np.arange(present.size)
            return (present + low).astype(labels.dtype), first, table[shifted]
    unique, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return unique, first, inverse
