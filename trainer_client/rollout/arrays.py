"""Arrays beside a rollout file: an ``.npz`` whose arrays have a row per rollout, for what no line of JSON should hold.

Each row becomes an entry of its rollout's ``extra``, from where a recipe's ``[inputs]`` take it as ``"extra.NAME"``.
Rows are matched by the array ``rollout_id`` where there is one, else by the order of the file.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_client._errors import RolloutError
from trainer_client.rollout.types import Rollout


def attach_arrays(rollouts: Sequence[Rollout], path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Give each rollout its rows of the arrays of a file.

    An array whose second axis has an entry per rollout as well (a similarity of each with each) is read by ids.

    Args:
        rollouts: all rollouts of the file that the arrays stand beside.
        path: the ``.npz``.

    Returns:
        Names of the arrays.

    Raises:
        RolloutError: it is no such file, an array holds Python objects, or rows and rollouts do not match.
        OSError: the file cannot be read.
    """
    arrays = _read(path)
    ids = arrays.pop("rollout_id", None)
    place: Mapping[str, int]
    if ids is None:
        place = {rollout.rollout_id: row for row, rollout in enumerate(rollouts)}
    else:
        place = {str(name): row for row, name in enumerate(ids.tolist())}
        lacking = next((r.rollout_id for r in rollouts if r.rollout_id not in place), None)
        if lacking is not None:
            raise RolloutError(f"{os.fspath(path)}: the array rollout_id does not have this id", "extra", lacking)
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(place):
            size = "one value" if array.ndim == 0 else f"{len(array)} rows"
            raise RolloutError(
                f"{os.fspath(path)}: {name} has {size} for {len(place)} rollouts; give it one row per rollout, or "
                "add an array rollout_id with the id of each row",
                "extra",
            )
        paired = array.ndim == 2 and array.shape[1] == len(place)
        for rollout in rollouts:
            row = array[place[rollout.rollout_id]]
            rollout.extra = {**rollout.extra, name: _Row(row, place) if paired else row}
    return tuple(arrays)


def _read(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise RolloutError(
            f"{os.fspath(path)}: not an .npz of plain arrays ({error}); write it by numpy.savez, ragged rows padded",
            "extra",
        ) from None


class _Row(Mapping[str, Any]):
    """A row with an entry per rollout, by the rollout's id; as a sequence it is the row as it stands."""

    __slots__ = ("_place", "row")

    def __init__(self, row: NDArray[Any], place: Mapping[str, int]) -> None:
        self.row = row
        self._place = place

    def __getitem__(self, rollout_id: str) -> Any:
        return self.row[self._place[rollout_id]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.row, dtype)
