"""`group_normalise`: the centre and scale of every group-relative advantage."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import (
    BoolArray,
    FloatArray,
    Reduce,
    as_bools,
    as_floats,
    require_finite,
    require_length,
)
from trainer_client.signals._errors import InputError, OptionError
from trainer_client.signals._groups import TOLERANCE, GroupIds, Groups
from trainer_client.signals.parts.standardise import batch_moments, is_constant

Centre = Literal["mean", "median", "leave_one_out", "quantile", "value", "none"]

Scale = Literal["std", "mad", "batch", "none"]

Singleton = Literal["zero", "raw", "error"]

_BLOCK = 32_768
"""Rows worked on at a time: their temporaries fit a core's cache."""


def group_normalise(
    rewards: ArrayLike,
    groups: GroupIds | Groups,
    valid: ArrayLike | None = None,
    *,
    centre: Centre = "mean",
    scale: Scale = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
    values: ArrayLike | None = None,
    quantile: float = 0.5,
    tolerance: float = TOLERANCE,
    reduce: Reduce | None = None,
) -> FloatArray:
    """Advantages relative to the group: ``(r - centre) / (scale + eps)``.

    Args:
        rewards: ``[N]``.
        groups: ``[N]`` ids, or `Groups`; neither contiguous nor equal in size.
        valid: ``[N]``; a row that is not valid takes no part in any statistic and gets 0.
        centre: ``mean``; ``median`` (of two middle values the lower); ``leave_one_out`` (the mean of the
            other members); ``quantile``; ``value`` (the per-row baseline ``values``); ``none``.
        scale: ``std`` of the group; ``mad`` (median absolute deviation from the median); ``batch`` (std of
            the rewards of the whole batch); ``none`` divides by nothing and ``eps`` is not used.
        ddof: 1 is the sample standard deviation (TRL, verl, OpenRLHF), 0 the population one.
        eps: added to the scale.
        singleton: a group with one valid member has no peers: ``zero`` (no signal), ``raw`` (its reward over
            ``1 + eps``, or as it is without division: verl's rule), ``error``.
        values: ``[N]`` baselines for ``centre="value"``.
        quantile: which quantile, for ``centre="quantile"`` (linear interpolation).
        tolerance: a group is constant when its deviation is at most ``tolerance * |first reward|``.
        reduce: sums a small array over ranks, for ``scale="batch"`` on a shard.

    Returns:
        ``[N]`` float64. Exactly 0 for a constant group, unless the centre comes from outside the group.

    Raises:
        InputError: shapes differ, a valid reward is not finite, or ``singleton="error"`` met a group of one.
        OptionError: an option is out of range.
    """
    reward, partition, mask, baseline = _read(rewards, groups, valid, values)
    _check_options(centre, scale, ddof, eps, singleton, baseline)
    x, g, b = reward, partition, baseline
    if mask is not None:
        x, g, b = reward[mask], partition.take(mask), None if baseline is None else baseline[mask]
    if singleton == "error" and bool((g.sizes == 1).any()):
        label = g.labels[int(np.argmax(g.sizes == 1))]
        raise InputError(f"groups: {label!r} has one valid member; generate more, or choose singleton='zero'")
    divisor = _batch_divisor(x, ddof, eps, tolerance, reduce) if scale == "batch" else 1.0
    rule = _Rule(centre, scale, ddof, eps, singleton == "raw", quantile, tolerance, divisor)
    result = np.empty(x.size)
    for rows, part in g.blocks(_BLOCK):
        result[rows] = _normalise(x[rows], part, rule, None if b is None else b[rows])
    if mask is None:
        return result
    full = np.zeros(reward.size)
    full[mask] = result
    return full


def _read(
    rewards: ArrayLike, groups: GroupIds | Groups, valid: ArrayLike | None, values: ArrayLike | None
) -> tuple[FloatArray, Groups, BoolArray | None, FloatArray | None]:
    """The columns, checked; the mask is None when every row takes part."""
    reward = as_floats("rewards", rewards, 1)
    partition = Groups.of(groups)
    require_length("groups", partition.rows, reward.size)
    mask = None if valid is None else as_bools("valid", valid, 1)
    baseline = None if values is None else as_floats("values", values, 1)
    for name, column in (("valid", mask), ("values", baseline)):
        if column is not None:
            require_length(name, column.size, reward.size)
    require_finite("rewards", reward, mask)
    if baseline is not None:
        require_finite("values", baseline, mask)
    return reward, partition, None if mask is None or bool(mask.all()) else mask, baseline


class _Rule(NamedTuple):
    """The options of a call, checked; ``divisor`` is that of the batch or 1."""

    centre: Centre
    scale: Scale
    ddof: int
    eps: float
    raw_singletons: bool
    quantile: float
    tolerance: float
    divisor: float


def _batch_divisor(x: FloatArray, ddof: int, eps: float, tolerance: float, reduce: Reduce | None) -> float:
    """Deviation of the whole batch plus ``eps``; infinite for a constant batch, which gives 0."""
    n, mean, total = batch_moments(x, np.ones(x.size, np.bool_), reduce=reduce)
    constant = n <= ddof or is_constant(n, mean, total, tolerance)
    return np.inf if constant else float(np.sqrt(total / (n - ddof))) + eps


def _normalise(x: FloatArray, g: Groups, rule: _Rule, values: FloatArray | None) -> FloatArray:
    """The arithmetic, on rows that all take part."""
    if not x.size:
        return x
    first = g.first(x)
    # Relative to its first reward a constant group is exactly zero, whatever the rounding of its mean.
    shifted = g.apply(np.subtract, x, first)
    centred = g.apply(np.subtract, shifted, g.mean(shifted))
    squares = g.sum(centred * centred)
    degenerate = g.is_constant(squares, first, rule.tolerance)
    top = _centred(x, g, shifted, centred, rule.centre, values, rule.quantile)
    from_group = rule.centre not in ("value", "none")
    single = g.sizes == 1
    raw = from_group and rule.raw_singletons and bool(single.any())
    if raw:
        top = np.where(g.spread(single), x, top)
        degenerate = degenerate & ~single
    if rule.scale in ("none", "batch"):
        top = top / rule.divisor
        return np.where(g.spread(degenerate), 0.0, top) if from_group and bool(degenerate.any()) else top
    spread = _spread_of_group(x, g, squares, rule.scale, rule.ddof)
    divisor = (np.where(single, 1.0, spread) if raw else spread) + rule.eps
    # Without a spread of its own a group cannot be scaled, wherever its centre comes from.
    degenerate = degenerate | (divisor == 0.0)
    return g.apply(np.multiply, top, np.where(degenerate, 0.0, 1.0 / np.where(degenerate, 1.0, divisor)))


def _centred(
    x: FloatArray,
    g: Groups,
    shifted: FloatArray,
    centred: FloatArray,
    centre: Centre,
    values: FloatArray | None,
    quantile: float,
) -> FloatArray:
    if centre == "mean":
        return centred
    if centre == "leave_one_out":
        return g.apply(np.multiply, centred, g.sizes / np.maximum(g.sizes - 1, 1))
    if centre == "median":
        return g.apply(np.subtract, shifted, g.median(shifted, "lower"))
    if centre == "quantile":
        return g.apply(np.subtract, shifted, g.quantile(shifted, quantile))
    return x if values is None else x - values


def _spread_of_group(x: FloatArray, g: Groups, squares: FloatArray, scale: Scale, ddof: int) -> FloatArray:
    if scale == "mad":
        return g.median_deviation(x)
    return np.sqrt(squares / np.maximum(g.sizes - ddof, 1)) * (g.sizes > ddof)


def _check_options(
    centre: str, scale: str, ddof: int, eps: float, singleton: str, values: FloatArray | BoolArray | None
) -> None:
    for name, choice, choices in (
        ("centre", centre, get_args(Centre)),
        ("scale", scale, get_args(Scale)),
        ("singleton", singleton, get_args(Singleton)),
    ):
        if choice not in choices:
            raise OptionError(f"{name}: {choice!r} is not one of {', '.join(choices)}")
    if ddof not in (0, 1):
        raise OptionError(f"ddof: {ddof} is neither 0 (population) nor 1 (sample)")
    if not eps >= 0:
        raise OptionError(f"eps: {eps} is negative; it is added to the scale")
    if (centre == "value") != (values is not None):
        raise OptionError("values: baselines are needed with centre='value', and only there")
