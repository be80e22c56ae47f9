"""Real-Time Long Horizon Air Quality Forecasting via GRPO (FAKER-Air).

FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/grpo_train.py @2c208b85.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("faker-air", __doc__, provenance="code")


Ties = Literal["average", "first"]


class FadingMoments(Tracker):
    """Exponential moving mean, and moving square of the deviation from it.

    ``mean <- (1 - a) * mean + a * x``; ``variance <- (1 - a) * variance + a * (x - mean)^2`` with the new mean.

    Args:
        rate: ``a``, weight of a new value.
        mean: start.
        variance: start.

    Source: FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/grpo_train.py @2c208b85.
    """

    kind = "fading_moments"

    def __init__(self, *, rate: float = 0.05, mean: float = 0.0, variance: float = 1e-6) -> None:
        if not 0 < rate <= 1 or variance < 0:
            raise OptionError(f"rate: {rate} must lie in (0, 1] and variance: {variance} must not be negative")
        self.rate, self.mean, self.variance = rate, mean, variance

    def update(self, value: float) -> None:
        """Take in one value."""
        self.mean += self.rate * (value - self.mean)
        self.variance += self.rate * ((value - self.mean) ** 2 - self.variance)

    def _state(self) -> dict[str, Any]:
        return {"mean": self.mean, "variance": self.variance}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.mean, self.variance = float(state["mean"]), float(state["variance"])


@register(
    "rank_ema",
    paper=PAPER,
    needs="state",
    inputs=("rewards", "groups"),
    formula="A_i = (1 - mix) * rank in [-1, 1] + mix * (r_i - EMA mean) / (EMA std + 1e-6)",
)
class RankedAgainstAverage(FadingMoments):
    """FAKER-Air: ranks in the group, mixed with the distance from a moving average of rewards.

    The average takes in the mean over groups of their mean reward before it is used. Equal rewards share a rank, so
    that only the average speaks of a group of equal rewards.
    """

    kind = "rank_ema"

    def __init__(self, *, mix: float = 0.5, rate: float = 0.05, variance: float = 1e-6) -> None:
        super().__init__(rate=rate, variance=variance)
        self.mix = mix

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step."""
        return self._signal(batch, "average")

    def _signal(self, batch: SignalBatch, ties: Ties) -> Signal:
        valid, groups = batch.taken()
        rewards = batch.rewards[valid]
        if len(groups):
            self.update(float(groups.mean(rewards).mean()))
        ranks = centred_ranks(rewards, groups, ties=ties)
        if ties == "first":
            ranks = np.where(groups.spread(groups.sizes) == 1, -1.0, ranks)
        level = (rewards - self.mean) / (self.variance**0.5 + 1e-6)
        return batch.signal(
            advantages=batch.scatter((1.0 - self.mix) * ranks + self.mix * level),
            report={"rank_ema/mean": self.mean, "rank_ema/variance": self.variance},
        )


@register(
    "release/rank_ema",
    like="rank_ema",
    formula="as rank_ema; equal rewards are ranked by batch order; a group of one has rank -1",
    laws=Laws(permutation=False),
)
class ReleasedRankedAgainstAverage(RankedAgainstAverage):
    """FAKER-Air of its release, where equal rewards get different ranks."""

    kind = "release/rank_ema"

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step."""
        return self._signal(batch, "first")


@register(
    "softmax_shares",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    provenance="secondary",
    source="FAKER-Air, as its paper describes the advantage; its release computes rank_ema",
    formula="A_i = exp(r_i / tau) / sum over the group of exp(r / tau)",
    laws=Laws(shift=True),
)
def softmax_advantages(batch: SignalBatch, *, temperature: float = 1.0) -> Signal:
    """FAKER-Air's paper form: shares of a softmax over the group; positive throughout, and not centred."""
    if not temperature > 0:
        raise OptionError(f"temperature: {temperature} must be positive")
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(softmax_shares(batch.rewards[valid], groups, temperature)))


def centred_ranks(rewards: FloatArray, groups: Groups, *, ties: Ties = "average") -> FloatArray:
    """``[N]`` ranks in the group, evenly from -1 (worst) to 1 (best); 0 for a group of one.

    Args:
        rewards: ``[N]``.
        groups: partition of the rows.
        ties: equal rewards share their mean rank (``average``), or are told apart by batch order (``first``).
    """
    ranks = groups.rank(rewards).astype(np.float64)
    if ties == "average" and rewards.size:
        equal = groups.cross(Groups.of(np.unique(rewards, return_inverse=True)[1]))
        ranks = equal.spread(equal.mean(ranks))
    top = groups.spread(groups.sizes) - 1
    return np.where(top > 0, 2.0 * ranks / np.maximum(top, 1) - 1.0, 0.0)


def softmax_shares(rewards: FloatArray, groups: Groups, temperature: float = 1.0) -> FloatArray:
    """``[N]`` ``exp(r / temperature)`` over its group's sum: positive, and 1 in total."""
    raised = np.exp(groups.apply(np.subtract, rewards, groups.max(rewards)) / temperature)
    result: FloatArray = groups.apply(np.divide, raised, groups.sum(raised))
    return result


@golden("rank_ema_advantage", atol=1e-6)
def _(case: Case) -> Any:
    mixes = {"used": case.params["adv_ema_coeff"], "rank": 0.0, "ema": 1.0}
    rate, variance = case.params["reward_ema_alpha"], case.params["ema_var_init"]
    runs = {name: method("release/rank_ema", mix=mix, rate=rate, variance=variance) for name, mix in mixes.items()}
    steps = []
    for rewards in case.inputs["rewards_by_step"]:
        batch = SignalBatch(rewards, one_group(len(rewards)))
        signals = {name: run(batch) for name, run in runs.items()}
        report = signals["used"].report
        steps.append(
            {name: signal.advantages for name, signal in signals.items()}
            | {"ema_mean": report["rank_ema/mean"], "ema_var": report["rank_ema/variance"]}
        )
    return steps
