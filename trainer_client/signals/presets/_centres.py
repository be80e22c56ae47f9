"""Advantages with another centre or scale than the group's mean and deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import (
    BetaFit,
    Reduce,
    batch_moments,
    fit_normaliser,
    group_normalise,
    inverse_density,
    median_deviation,
    median_pivots,
    shrinkage_baseline,
)

_NAMED = ("rewards", "groups")
_MC = "MC-GRPO, lotusroot-kim/MC-GRPO src/open_r1"
_BNPO = "BNPO, changyi7231/BNPO recipe/bnpo/src/bnpo_ray_trainer.py @a9c51b98"


@register(
    "mc_grpo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"{_MC}/grpo_trainer_math.py @da077455; the deviation where the MAD vanishes is ours",
    formula="A_i = (r_i - median) / (MAD + eps), std for MAD <= floor; the median row is left out",
    papers=("mc-grpo",),
)
def mc_grpo(
    batch: SignalBatch,
    *,
    scale: Literal["mad", "std", "none"] = "mad",
    floor: float = 1e-3,
    eps: float = 1e-3,
    clip: float = 0.0,
) -> Signal:
    """MC-GRPO: rewards relative to the group's median, over its median absolute deviation.

    Generate one rollout more than is trained on: the one that is the median has no advantage and is not kept (the
    first of equals; of two middle values the lower; a group of one is kept). Binary rewards often have a MAD of 0,
    which would blow the rest up to 1/eps: up to ``floor`` the standard deviation takes its place. ``clip`` bounds
    the result if it is positive.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    centred = group_normalise(rewards, groups, centre="median", scale="none")
    if scale != "none":
        spread = groups.deviation(rewards, 1)
        if scale == "mad":
            mad = median_deviation(rewards, groups)
            spread = np.where(mad > floor, mad, spread)
        centred = groups.apply(np.divide, centred, np.where(spread > 0, spread, 1.0) + eps)
    if clip > 0:
        centred = np.clip(centred, -clip, clip)
    return batch.signal(keep=_without_pivots(batch), advantages=batch.scatter(centred))


@register(
    "release/mc_grpo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"{_MC}/grpo_trainer_math.py @da077455",
    formula="A_i = (r_i - median) / (MAD + eps); the median row is left out",
    papers=("mc-grpo",),
)
def release_mc_grpo(batch: SignalBatch, *, eps: float = 1e-3) -> Signal:
    """MC-GRPO of its release, where a vanishing MAD makes advantages of a thousand."""
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, centre="median", scale="mad", eps=eps)
    return batch.signal(keep=_without_pivots(batch), advantages=advantages)


@register(
    "release/mc_grpo_rescaled",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"{_MC}/grpo_trainer_gsm.py @da077455",
    formula="as release/mc_grpo, times the rows of the group over those with a nonzero advantage",
    papers=("mc-grpo",),
)
def release_mc_grpo_rescaled(batch: SignalBatch, *, eps: float = 1e-3, zero: float = 1e-6) -> Signal:
    """MC-GRPO of its GSM8K trainer, which scales advantages up by how few of the group are not zero."""
    valid, groups = batch.taken()
    raw = group_normalise(batch.rewards[valid], groups, centre="median", scale="mad", eps=eps)
    live = groups.sum(np.abs(raw) > zero)
    scaled = groups.apply(np.multiply, raw, groups.sizes / np.maximum(live, 1))
    return batch.signal(keep=_without_pivots(batch), advantages=batch.scatter(scaled))


@register(
    "bnpo",
    room="advantage",
    needs="batch",
    inputs=_NAMED,
    certainty="code",
    source=_BNPO,
    formula="A_i = min(max_weight, 1 / Beta(p_g; alpha, beta)) * (s_i - p_g); Beta fitted to the success rates p",
    papers=("bnpo",),
    reducible=True,
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
    room="combination",
    needs="batch",
    inputs=("components", "groups"),
    certainty="code",
    source=_BNPO,
    formula="mean over components of their BNPO advantages",
    papers=("bnpo",),
    reducible=True,
)
def bnpo_decomposed(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0, max_weight: float = 1e6) -> Signal:
    """BNPO with several rewards: each gets advantages of its own, which are averaged.

    A missing component takes no part in its own statistics and adds 0, the mean of its group.
    """
    components = batch["components"]
    given = batch.components_given
    total = np.zeros(batch.rows)
    for column in range(components.shape[1]):
        where = given[:, column]
        part = batch.groups.take(where)
        total[where] += _beta_weighted(components[where, column], part, low, high, max_weight, batch.reduce)[0]
    scored = np.asarray(given.any(axis=1))
    return batch.signal(keep=scored | ~batch.valid, advantages=total / max(components.shape[1], 1))


@register(
    "release/bnpo",
    room="advantage",
    needs="batch",
    inputs=_NAMED,
    certainty="code",
    source=_BNPO,
    formula="as bnpo, with p = 0 for a group of one; NaN for equal success rates; fails if all are 0 or all are 1",
    papers=("bnpo",),
)
def release_bnpo(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """BNPO of its release, which breaks on batches whose success rates do not differ."""
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(_released_bnpo(batch.rewards[valid], groups, low, high)))


@register(
    "release/bnpo_decomposed",
    room="combination",
    needs="batch",
    inputs=("components", "groups"),
    certainty="code",
    source=_BNPO,
    formula="mean over components of their release/bnpo advantages",
    papers=("bnpo",),
)
def release_bnpo_decomposed(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """BNPO of its release with several rewards; one component that breaks breaks the sum."""
    valid, groups = batch.taken()
    columns = batch["components"][valid].T
    parts = [_released_bnpo(column, groups, low, high) for column in columns]
    return batch.signal(advantages=batch.scatter(np.mean(parts, axis=0)))


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" else "group"


@register(
    "v0_5",
    room="advantage",
    needs=_needs_by_scale,
    inputs=(*_NAMED, "prior_values"),
    certainty="abstract",
    source="V0.5 (arXiv 2603.10848), reconstructed from its abstract",
    formula="b = w * mean + (1-w) * V; w = max(0, 1 - s2 / (mean - V)^2); A_i = (r_i - b) / (std + eps)",
    papers=("v0.5",),
    reducible=True,
)
def v0_5(
    batch: SignalBatch,
    *,
    scale: Literal["batch", "group", "none"] = "batch",
    leave_one_out: bool = False,
    eps: float = 1e-6,
    min_rollouts: int = 4,
    max_rollouts: int = 16,
    increment: int = 1,
    cost: float = 0.0,
) -> Signal:
    """V0.5: few rollouts against a value model's prior, which is believed while it agrees within noise.

    Rewards and priors lie in [0, 1]. With ``leave_one_out`` a row's baseline does not see its own reward. The budget
    is how many rollouts to add: up to ``min_rollouts`` always, and then ``increment`` while the prior is in doubt and
    the baseline's estimated error would fall by more than ``cost``, up to ``max_rollouts``.
    """
    if increment < 1 or not 1 <= min_rollouts <= max_rollouts:
        raise BadOption(f"min_rollouts: {min_rollouts} to max_rollouts: {max_rollouts} by increment: {increment}")
    valid, groups = batch.taken()
    rewards, prior = batch.rewards[valid], batch["prior_values"][valid]
    _require_unit("rewards", rewards)
    _require_unit("prior_values", prior)
    per_prompt = shrinkage_baseline(groups.mean(rewards), groups.mean(prior), groups.sizes)
    baseline = groups.spread(per_prompt.baseline)
    if leave_one_out:
        others = groups.spread(groups.sizes) - 1
        rest = (groups.spread(groups.sum(rewards)) - rewards) / np.maximum(others, 1)
        shrunk = shrinkage_baseline(rest, prior, np.maximum(others, 1)).baseline
        baseline = np.where(others > 0, shrunk, prior)
    advantages = rewards - baseline
    if scale == "batch":
        n, _, squares = batch_moments(rewards, np.ones(rewards.size, np.bool_), reduce=batch.reduce)
        deviation = (squares / (n - 1)) ** 0.5 if n > 1 else 0.0
        advantages = advantages / (deviation + eps) if deviation > 0 else advantages
    elif scale == "group":
        deviation_of = groups.deviation(rewards, 1)
        advantages = advantages / groups.spread(np.where(deviation_of > 0, deviation_of + eps, 1.0))
    count = groups.sizes.astype(np.float64)
    later = per_prompt._replace(noise=per_prompt.noise * count / (count + increment))
    worth = (per_prompt.weight > 0) & (per_prompt.error - later.error > cost) & (count + increment <= max_rollouts)
    more = np.where(count < min_rollouts, min_rollouts - count, np.where(worth, increment, 0))
    return batch.signal(
        advantages=batch.scatter(advantages),
        budget=batch.scatter(groups.spread(more)).astype(np.int64),
        report={"v0_5/weight": float(per_prompt.weight.mean()) if len(groups) else 0.0},
    )


def _without_pivots(batch: SignalBatch) -> np.ndarray:
    """``[N]`` all rows but the median of each group that has more than one."""
    valid, groups = batch.taken()
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = ~median_pivots(batch.rewards[valid], groups) | (groups.spread(groups.sizes) == 1)
    return keep


def _between(rewards: FloatArray, low: float, high: float) -> FloatArray:
    if not low < high:
        raise BadOption(f"low: {low} must be below high: {high}")
    outside = np.flatnonzero((rewards < low) | (rewards > high))
    if outside.size:
        raise BadInput(f"rewards: {rewards[outside[0]]} (valid row {outside[0]}) is outside of {low} to {high}")
    return (rewards - low) / (high - low)


def _require_unit(name: str, values: FloatArray) -> None:
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        raise BadInput(f"{name}: {values[outside[0]]} (valid row {outside[0]}) lies outside [0, 1]")


def _beta_weighted(
    rewards: FloatArray, groups: Groups, low: float, high: float, max_weight: float, reduce: Reduce | None
) -> tuple[FloatArray, BetaFit]:
    success = _between(rewards, low, high)
    several = groups.sizes > 1
    fit = fit_normaliser(groups.mean(success)[several], reduce=reduce)
    weight = inverse_density(groups.mean(success), fit, max_weight=max_weight)
    centred = group_normalise(success, groups, scale="none")
    return np.asarray(groups.apply(np.multiply, centred, weight)), fit


def _released_bnpo(rewards: FloatArray, groups: Groups, low: float, high: float) -> FloatArray:
    success = _between(rewards, low, high)
    rate = np.where(groups.sizes > 1, groups.mean(success), 0.0)
    mean, variance = (float(rate.mean()), float(rate.var(ddof=1))) if len(groups) > 1 else (0.0, 1.0)
    if variance == 0.0 and mean * (1.0 - mean) == 0.0:
        raise BadInput("rewards: all prompts are never or all always solved; the released fit has no parameters then")
    if variance == 0.0:
        return np.full(success.size, np.nan)
    concentration = mean * (1.0 - mean) / variance - 1.0
    fit = BetaFit(max(1.0, 1.0 + concentration * mean / 3.0), max(1.0, 1.0 + concentration * (1.0 - mean) / 3.0))
    return np.asarray(groups.spread(inverse_density(rate, fit)) * (success - groups.spread(rate)))
