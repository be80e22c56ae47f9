"""Several rewards, each normalised separately before they are summed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, Reduce
from trainer_client.signals._errors import OptionError
from trainer_client.signals._groups import Groups
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise
from trainer_client.signals.parts.standardise import standardise


def decoupled_normalise(
    components: FloatArray,
    groups: Groups,
    valid: BoolArray,
    *,
    weights: Sequence[float] | None = None,
    scale: Literal["group", "batch"] = "group",
    ddof: int = 1,
    eps: float = 1e-4,
    singleton: Singleton = "zero",
    reduce: Reduce | None = None,
) -> FloatArray:
    """``[N]`` weighted sum of components that were each normalised in the group or over the batch.

    A component with little variance keeps its say, where the plain sum would let a wide one drown it. A missing
    component is left out of its own statistics and contributes 0, which is its group's mean.

    Args:
        components: ``[N, K]``.
        groups: partition of the ``N`` rows.
        valid: ``[N, K]`` components that hold a verdict in rows that take part.
        weights: ``K`` factors; 1 each when None.
        scale: ``group``: mean and deviation of the group; ``batch``: of the whole batch.
        ddof: of the deviation.
        eps: added to the deviation.
        singleton: a group with one verdict; see `group_normalise`.
        reduce: sums over ranks, for ``scale="batch"``.

    Raises:
        OptionError: another number of weights than components.
    """
    factors = resolve_weights(weights, components.shape[1])
    total = np.zeros(components.shape[0])
    for column, factor in enumerate(factors):
        values, where = components[:, column], valid[:, column]
        if scale == "group":
            part = group_normalise(values, groups, where, ddof=ddof, eps=eps, singleton=singleton)
        else:
            part = standardise(values, where, ddof=ddof, eps=eps, reduce=reduce)
        total += factor * part
    return total


def resolve_weights(weights: Sequence[float] | None, columns: int) -> FloatArray:
    """``[K]`` weights, 1 each when None.

    Raises:
        OptionError: another number of weights than columns.
    """
    factors = np.ones(columns) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.shape != (columns,):
        raise OptionError(f"weights: {factors.size} given for {columns} components; give one for each")
    return factors
