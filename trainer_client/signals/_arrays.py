"""Array types and the checks that every part applies to what callers hand over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer_client.signals._errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
AnyArray: TypeAlias = NDArray[Any]
Reduce: TypeAlias = Callable[[FloatArray], FloatArray]
"""Elementwise sum of a small array over ranks."""


def as_array(name: str, values: Any, dtype: Any = None) -> AnyArray:
    """Return ``values`` as an array, whatever library they come from.

    Raises:
        InputError: numpy cannot read them, such as a tensor on a device, one that records gradients, or bfloat16.
    """
    try:
        return np.asarray(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: numpy cannot read it ({error}); pass an array, or a tensor as "
            "tensor.detach().cpu() (bfloat16 first as tensor.float())"
        ) from None


def as_floats(name: str, values: ArrayLike, ndim: int | None = None) -> FloatArray:
    """Return ``values`` as float64, refusing what is not numeric or has another number of axes."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: not a numeric array ({error}); use NaN with a validity mask for missing values, and pass a "
            "tensor as tensor.detach().cpu() (bfloat16 first as tensor.float())"
        ) from None
    _check_ndim(name, array, ndim)
    return array


def as_bools(name: str, values: ArrayLike, ndim: int | None = None) -> BoolArray:
    """Return ``values`` as booleans; 0 and 1 are accepted, other numbers are refused."""
    array = as_array(name, values)
    if array.size == 0:
        array = array.astype(np.bool_)
    if array.dtype != np.bool_:
        if array.dtype.kind not in "iuf" or not bool(np.all((array == 0) | (array == 1))):
            raise InputError(f"{name}: expected booleans (or 0 and 1), found {array.dtype}")
        array = array.astype(np.bool_)
    _check_ndim(name, array, ndim)
    flags: BoolArray = array
    return flags


def as_ints(name: str, values: ArrayLike, ndim: int | None = None) -> IntArray:
    """Return ``values`` as int64; a float array is accepted when every value is whole."""
    array = as_array(name, values)
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~(array == np.floor(array)).ravel())
        if bad.size:
            raise InputError(f"{name}: {array.ravel()[bad[0]]} at position {bad[0]} is not a whole number")
    elif array.dtype.kind not in "iub" and array.size:
        raise InputError(f"{name}: expected whole numbers, found {array.dtype}")
    _check_ndim(name, array, ndim)
    return array.astype(np.int64)


def require_finite(
    name: str,
    array: FloatArray,
    where: BoolArray | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Raise ``InputError`` naming the first row and column that hold NaN or infinity.

    Args:
        name: what the caller knows the array as.
        array: ``[N]`` or ``[N, K]``.
        where: entries that must be finite, broadcastable from ``[N]``; None for all of them.
        columns: names for the columns of a two-dimensional array.

    Raises:
        InputError: an entry that counts is not finite.
    """
    finite = np.isfinite(array)
    if bool(finite.all()):
        return
    bad = ~finite
    if where is not None:
        bad &= where if where.ndim == bad.ndim else where.reshape(where.shape + (1,) * (bad.ndim - where.ndim))
    positions = np.argwhere(bad)
    if not positions.size:
        return
    at = positions[0]
    place = f"row {at[0]}" if at.size else "the value"
    if at.size > 1:
        place += f", column {columns[at[1]]!r}" if columns is not None else f", column {at[1]}"
    raise InputError(
        f"{name}: {place} holds {array[tuple(at)]} ({len(positions)} such entries); "
        "mark missing entries in the validity mask, or correct the source"
    )


def require_length(name: str, length: int, expected: int) -> None:
    """Raise ``InputError`` when an array has another number of rows than the batch."""
    if length != expected:
        raise InputError(f"{name}: has {length} rows where the batch has {expected}; one entry per rollout is needed")


def _check_ndim(name: str, array: AnyArray, ndim: int | None) -> None:
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} axes, found shape {array.shape}")
