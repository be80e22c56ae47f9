"""BNPO: Beta Normalization Policy Optimization.

BNPO, changyi7231/BNPO recipe/bnpo/src/bnpo_ray_trainer.py @a9c51b98.
"""

from __future__ import annotations

from math import lgamma
from typing import Any, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    InputError,
    Laws,
    OptionError,
    Paper,
    Reduce,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.standardise import batch_moments

PAPER = Paper("bnpo", __doc__, provenance="code")


def _two_rates(inputs: dict[str, Any]) -> None:
    """Two more prompts of different success rates, without which the released fit fails."""
    added = {"groups": np.array([90, 90, 91, 91, 91]), "valid": np.ones(5, np.bool_)}
    rewards = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    added |= {"rewards": rewards, "components": np.stack([rewards, rewards], axis=1)}
    added["components_valid"] = np.ones((5, 2), np.bool_)
    for name in inputs:
        inputs[name] = np.concatenate([inputs[name], added[name]])


@register(
    "bnpo",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups"),
    formula="A_i = min(max_weight, 1 / Beta(p_g; alpha, beta)) * (s_i - p_g); Beta fitted to the success rates p",
    reducible=True,
    laws=Laws(constant=True, zero_sum=True, rewards="binary"),
    within=(0.0, 1.0),
)
def bnpo(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0, max_weight: float = 1e6) -> Signal:
    """BNPO: centred rewards weighted by how rare their prompt's success rate is among the batch's.

    Where the success rates do not differ there is nothing to fit, and the weight is 1. The weight of a prompt that is
    nearly always or never solved can reach ``max_weight``; lower it for stability.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    advantages, fit = _beta_weighted(rewards, groups, low, high, max_weight, batch.reduce)
    return batch.signal(advantages=batch.scatter(advantages), report={"bnpo/alpha": fit.alpha, "bnpo/beta": fit.beta})


@register(
    "bnpo_decomposed",
    paper=PAPER,
    needs="batch",
    inputs=("components", "groups"),
    formula="mean over components of their BNPO advantages",
    reducible=True,
    laws=Laws(options={"low": -99.0, "high": 99.0}),
)
def bnpo_decomposed(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0, max_weight: float = 1e6) -> Signal:
    """BNPO with several rewards: each gets advantages of its own, which are averaged.

    A missing component takes no part in its own statistics and adds 0, the mean of its group.
    """
    components = batch["components"]
    present = batch.components_given
    total = np.zeros(batch.rows)
    for column in range(components.shape[1]):
        where = present[:, column]
        part = batch.groups.take(where)
        total[where] += _beta_weighted(components[where, column], part, low, high, max_weight, batch.reduce)[0]
    scored = np.asarray(present.any(axis=1))
    return batch.signal(keep=scored | ~batch.valid, advantages=total / max(components.shape[1], 1))


@register(
    "release/bnpo",
    like="bnpo",
    formula="as bnpo, with p = 0 for a group of one; NaN for equal success rates; fails if all are 0 or all are 1",
    reducible=False,
    laws=Laws(rewards="binary", prepare=_two_rates),
    within=(0.0, 1.0),
)
def release_bnpo(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """BNPO of its release, which breaks on batches whose success rates do not differ."""
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(_released_bnpo(batch.rewards[valid], groups, low, high)))


@register(
    "release/bnpo_decomposed",
    like="bnpo_decomposed",
    formula="mean over components of their release/bnpo advantages",
    reducible=False,
    laws=Laws(options={"low": -99.0, "high": 99.0}, prepare=_two_rates),
)
def release_bnpo_decomposed(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """BNPO of its release with several rewards; one component that breaks breaks the sum."""
    valid, groups = batch.taken()
    columns = batch["components"][valid].T
    parts = [_released_bnpo(column, groups, low, high) for column in columns]
    return batch.signal(advantages=batch.scatter(np.mean(parts, axis=0)))


def _between(rewards: FloatArray, low: float, high: float) -> FloatArray:
    if not low < high:
        raise OptionError(f"low: {low} must be below high: {high}")
    outside = np.flatnonzero((rewards < low) | (rewards > high))
    if outside.size:
        raise InputError(f"rewards: {rewards[outside[0]]} (valid row {outside[0]}) is outside of {low} to {high}")
    return (rewards - low) / (high - low)


def _beta_weighted(
    rewards: FloatArray, groups: Groups, low: float, high: float, max_weight: float, reduce: Reduce | None
) -> tuple[FloatArray, BetaFit]:
    success = _between(rewards, low, high)
    is_plural = groups.sizes > 1
    fit = fit_normaliser(groups.mean(success)[is_plural], reduce=reduce)
    weight = inverse_density(groups.mean(success), fit, max_weight=max_weight)
    centred = group_normalise(success, groups, scale="none")
    return np.asarray(groups.apply(np.multiply, centred, weight)), fit


def _released_bnpo(rewards: FloatArray, groups: Groups, low: float, high: float) -> FloatArray:
    success = _between(rewards, low, high)
    rate = np.where(groups.sizes > 1, groups.mean(success), 0.0)
    mean, variance = (float(rate.mean()), float(rate.var(ddof=1))) if len(groups) > 1 else (0.0, 1.0)
    if variance == 0.0 and mean * (1.0 - mean) == 0.0:
        raise InputError("rewards: all prompts are never or all always solved; the released fit has no parameters then")
    if variance == 0.0:
        return np.full(success.size, np.nan)
    concentration = mean * (1.0 - mean) / variance - 1.0
    fit = BetaFit(max(1.0, 1.0 + concentration * mean / 3.0), max(1.0, 1.0 + concentration * (1.0 - mean) / 3.0))
    return np.asarray(groups.spread(inverse_density(rate, fit)) * (success - groups.spread(rate)))


class BetaFit(NamedTuple):
    """Parameters of the normaliser; ``(1, 1)`` weighs all prompts alike."""

    alpha: float
    beta: float


def fit_normaliser(rates: FloatArray, *, reduce: Reduce | None = None, tolerance: float = 1e-12) -> BetaFit:
    """The Beta normaliser for the success rates of a batch's prompts.

    A Beta distribution ``(a, b)`` is fitted to the rates by their mean and sample variance; the normaliser is
    ``(max(1, 1 + a / 3), max(1, 1 + b / 3))``. With one prompt, or rates that do not differ, there is nothing to fit:
    ``(1, 1)``. Rates that are all 0 or 1 leave no variance inside (0, 1) and end at ``(1, 1)`` as well.

    Args:
        rates: ``[Q]`` success rate of each prompt, in [0, 1].
        reduce: sums a small array over ranks.
        tolerance: variance up to which the rates count as equal.

    Source: BNPO, changyi7231/BNPO recipe/bnpo/src/bnpo_ray_trainer.py @a9c51b98.
    """
    n, mean, squares = batch_moments(rates, np.ones(rates.size, np.bool_), reduce=reduce)
    variance = squares / (n - 1) if n > 1 else 0.0
    if variance <= tolerance:
        return BetaFit(1.0, 1.0)
    concentration = mean * (1.0 - mean) / variance - 1.0
    return BetaFit(max(1.0, 1.0 + concentration * mean / 3.0), max(1.0, 1.0 + concentration * (1.0 - mean) / 3.0))


def inverse_density(rates: FloatArray, fit: BetaFit, *, max_weight: float = 1e6) -> FloatArray:
    """``[Q]`` ``min(max_weight, 1 / density of the normaliser at the rate)``."""
    constant = lgamma(fit.alpha + fit.beta) - lgamma(fit.alpha) - lgamma(fit.beta)
    with np.errstate(divide="ignore"):
        log_density = constant + _times_log(fit.alpha - 1.0, rates) + _times_log(fit.beta - 1.0, 1.0 - rates)
    return np.minimum(np.exp(np.minimum(-log_density, 700.0)), max_weight)


def _times_log(factor: float, values: FloatArray) -> FloatArray:
    """``factor * log(values)`` with ``0 * log 0 = 0``."""
    return factor * np.log(values) if factor else np.zeros(values.shape)


@golden("bnpo")
def _(case: Case) -> Any:
    low, high = case.params["min_value"], case.params["max_value"]
    batch = SignalBatch(case.array("rewards"), case.inputs["group_index"])
    broken = isinstance(case.output, dict) or "NaN" in case.output
    alone = bool((batch.groups.sizes == 1).any())
    name = "release/bnpo" if broken or alone else "bnpo"
    return method(name, low=low, high=high)(batch).advantages


@golden("bnpo_decomposed")
def _(case: Case) -> Any:
    batch = SignalBatch(None, case.inputs["group_index"], components=case.array("component_rewards").T)
    name = "release/bnpo_decomposed" if "NaN" in case.output else "bnpo_decomposed"
    estimator = method(name, low=case.params["min_value"], high=case.params["max_value"])
    return estimator(batch).advantages
