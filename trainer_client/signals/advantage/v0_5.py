"""V0.5: Generalist Value Model as a Prior for Sparse RL Rollouts.

V0.5 (arXiv 2603.10848), reconstructed from its abstract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Input,
    InputError,
    IntArray,
    Laws,
    Needs,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
    within_unit,
)
from trainer_client.signals.parts.standardise import batch_moments

PAPER = Paper("v0.5", __doc__, provenance="abstract")

_PRIOR_VALUES = Input(
    "prior_values", "N", "float", "expected reward of a row's prompt before sampling, 0 to 1", within=(0.0, 1.0)
)


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" else "group"


def _one_prior_a_prompt(inputs: dict[str, Any]) -> None:
    within_unit(inputs)
    inputs["prior_values"] = inputs["prior_values"][0] * (1 + inputs["groups"] % 3) / 4


@register(
    "v0_5",
    paper=PAPER,
    needs=_needs_by_scale,
    inputs=("rewards", "groups", _PRIOR_VALUES),
    formula="b = w * mean + (1-w) * V; w = max(0, 1 - s2 / (mean - V)^2); A_i = (r_i - b) / (std + eps)",
    reducible=True,
    laws=Laws(rewards="binary", prepare=_one_prior_a_prompt),
    within=(0.0, 1.0),
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
        raise OptionError(f"min_rollouts: {min_rollouts} to max_rollouts: {max_rollouts} by increment: {increment}")
    valid, groups = batch.taken()
    rewards, prior = batch.rewards[valid], batch["prior_values"][valid]
    _require_unit("rewards", rewards)
    _require_unit("prior_values", prior)
    per_prompt = shrinkage_baseline(groups.mean(rewards), groups.mean(prior), groups.sizes)
    baseline = groups.spread(per_prompt.baseline)
    if leave_one_out:
        others_ = groups.spread(groups.sizes) - 1
        mean_of_others = (groups.spread(groups.sum(rewards)) - rewards) / np.maximum(others_, 1)
        shrunk = shrinkage_baseline(mean_of_others, prior, np.maximum(others_, 1)).baseline
        baseline = np.where(others_ > 0, shrunk, prior)
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


def _require_unit(name: str, values: FloatArray) -> None:
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        raise InputError(f"{name}: {values[outside[0]]} (valid row {outside[0]}) lies outside [0, 1]")


class ShrunkBaselines(NamedTuple):
    """Baselines of prompts, with their derivation.

    Attributes:
        baseline: ``[Q]`` ``weight * mean + (1 - weight) * prior``.
        weight: ``[Q]`` share of the sample mean; 0 while it agrees with the prior within noise.
        noise: ``[Q]`` variance of the sample mean.
        bias: ``[Q]`` estimated squared error of the prior.
    """

    baseline: FloatArray
    weight: FloatArray
    noise: FloatArray
    bias: FloatArray

    @property
    def error(self) -> FloatArray:
        """``[Q]`` estimated mean squared error of the baseline."""
        total = self.noise + self.bias
        return np.where(self.bias > 0, self.noise * self.bias / np.where(total > 0, total, 1.0), 0.0)


def shrinkage_baseline(mean: FloatArray, prior: FloatArray, counts: IntArray) -> ShrunkBaselines:
    """Weigh the mean of ``counts`` success indicators against a prior value, minimising the squared error.

    With ``u`` the smoothed success rate, held within [0.01, 0.99], the mean has variance ``u * (1 - u) / k``. The
    prior's squared error is estimated by what the gap leaves beyond that noise, at least 0, so that agreement within
    noise trusts the prior alone (positive-part James-Stein).

    Args:
        mean: ``[Q]`` mean reward, in [0, 1].
        prior: ``[Q]`` in [0, 1].
        counts: ``[Q]`` rollouts, at least 1.

    Source: V0.5 (arXiv 2603.10848), reconstructed from its abstract.
    """
    rate = np.clip((counts * mean + prior) / (counts + 1), 0.01, 0.99)
    noise = rate * (1.0 - rate) / counts
    bias = np.maximum((mean - prior) ** 2 - noise, 0.0)
    weight = bias / (bias + noise)
    return ShrunkBaselines(prior + weight * (mean - prior), weight, noise, bias)
