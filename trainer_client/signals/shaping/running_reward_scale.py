"""Rewards in units of their running deviation, as served to PPO.

Secrets of RLHF II; OpenLMLab/MOSS-RLHF utils.py RunningMoments, ppo/ppo_trainer.py @4865d826.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, OptionError, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.moments import RunningMoments
from trainer_client.signals.parts.state import Tracker


@register(
    "running_reward_scale",
    paper="secrets-ii",
    needs="state",
    inputs=("rewards",),
    provenance="code",
    formula="r / std or (r - mean) / std of all rewards so far, this step included",
)
class RunningRewardScale(Tracker):
    """Rewards in units of their running deviation, as served to PPO.

    Nothing is divided before two different rewards have been seen. ``clip`` bounds the result; 0 for no bound.
    """

    kind = "running_reward_scale"
    parts = ("moments",)

    def __init__(self, *, centre: bool = False, clip: float = 0.0, min_deviation: float = 1e-6) -> None:
        if clip < 0 or not min_deviation > 0:
            raise OptionError(
                f"running_reward_scale: clip = {clip} is negative, or min_deviation = {min_deviation} not positive"
            )
        self.centre, self.clip, self.min_deviation = centre, clip, min_deviation
        self.moments = self._fresh()

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take the step in, then scale its rewards."""
        rewards = batch.rewards[batch.valid]
        self.moments.update(rewards)
        scaled = (rewards - self.moments.mean if self.centre else rewards) / self._divisor()
        if self.clip:
            scaled = np.clip(scaled, -self.clip, self.clip)
        report = {"rewards/running_mean": self.moments.mean, "rewards/running_std": self.moments.deviation()}
        return batch.signal(rewards=batch.scatter(scaled), report=report)

    def _fresh(self) -> RunningMoments:
        return RunningMoments()

    def _divisor(self) -> float:
        spread = self.moments.deviation()
        return max(spread, self.min_deviation) if spread > 0 else 1.0


@register(
    "release/running_reward_scale",
    like="running_reward_scale",
    source="OpenLMLab/MOSS-RLHF utils.py RunningMoments @4865d826",
    formula="as running_reward_scale, from 1e-24 observations of mean 0 and variance 1",
)
class ReleaseRunningRewardScale(RunningRewardScale):
    """The same as released: equal rewards in the first steps are blown up to 1e12."""

    kind = "release/running_reward_scale"

    def _fresh(self) -> RunningMoments:
        return _ReleasedMoments()

    def _divisor(self) -> float:
        return self.moments.deviation() or np.inf


class _ReleasedMoments(RunningMoments):
    """Starts from a trace of an observation, so that the first deviation is never quite 0."""

    kind = "release/running_moments"

    def __init__(self) -> None:
        super().__init__()
        self.trace = 1e-24
        self.squares = self.trace

    def update(self, values: Any) -> None:
        """Take in a batch of values."""
        if self.count == 0 and np.size(values):
            self.squares += float(np.mean(values)) ** 2 * self.trace
        super().update(values)


@golden("Secrets-II reward scaling", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    plain, centred = (method("release/running_reward_scale", centre=centre) for centre in (False, True))
    results, seen = [], 0
    for rewards in case.inputs["batches"]:
        scaled, normalised = (run(SignalBatch(rewards)) for run in (plain, centred))
        seen += len(rewards)
        results.append(
            {
                "batch_mean": float(np.mean(rewards)),
                "batch_std": float(np.std(rewards, ddof=1)),
                "mean": scaled.report["rewards/running_mean"],
                "std": scaled.report["rewards/running_std"],
                "count": seen,
                "normalised": normalised.rewards,
                "scaled": scaled.rewards,
            }
        )
    return results
