"""What earlier steps say of this one: PIPO, HAPO, running reward scales."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.credit import generalised_advantages
from trainer_client.signals.normalise import (
    Progress,
    group_normalise,
    improvement,
    retrospective_advantages,
    standardise,
)
from trainer_client.signals.shaping import HistoryShape, history_length_reward, repetition_penalty
from trainer_client.signals.trackers import LengthHistory, LengthStatistic, RunningMoments, Tracker

_PIPO = "JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py, ray_trainer.py @7f48e231"
_HAPO = "HCY123902/HAPO utils.py, grpo_trainer.py @c91ae3b6"
_REPLAYED = ("rewards", "groups", "replayed", "previous_advantages")


class _Window(Tracker):
    """Mean rewards of the last ``size`` steps."""

    kind = "progress_window"

    def __init__(self, size: int) -> None:
        if size < 1:
            raise BadOption(f"window: {size} steps; at least 1 is needed")
        self.means: deque[float] = deque(maxlen=size)
        self.steps = 0

    def add(self, mean: float) -> None:
        self.means.append(mean)

    def _state(self) -> dict[str, Any]:
        return {"means": list(self.means), "steps": self.steps}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.means = deque(map(float, state["means"]), maxlen=self.means.maxlen)
        self.steps = int(state["steps"])


class _Progressive(Tracker):
    """A method that measures each step's mean reward against a window."""

    parts = ("_window",)

    def __init__(self, window: int, ddof: int) -> None:
        self._window = _Window(window)
        self._ddof = ddof

    def _measure(self, mean: float | None) -> Progress:
        """Progress of this step, which then enters the window; none for a step without a verdict."""
        if mean is None:
            return Progress(0.0, 0.0, 1.0)
        found = improvement(mean, self._window.means, ddof=self._ddof)
        self._window.add(mean)
        self._window.steps += 1
        return found


@register(
    "pipo",
    room="advantage",
    needs="state",
    inputs=_REPLAYED,
    certainty="code",
    source=f"PIPO eq. 7 to 11, as quoted in a public note; {_PIPO}",
    formula="replayed rows: A = clip(G * A_i / sum |A| * xi, -10, 10), xi = (mean r - mean of window) / sd, "
    "xi < 0 times negative; others: A = r - mean over sd",
    papers=("pipo",),
)
class PIPO(_Progressive):
    """PIPO: the last step's rollouts are trained on once more, for or against, by whether rewards rose since.

    A batch holds the fresh rows and, ``replayed``, those of the previous step with the advantages they had. Fresh rows
    get group advantages; replayed ones are kept from the ``wait``-th step on. ``negative`` weakens the lesson of a
    step that made things worse.
    """

    kind = "pipo"

    def __init__(
        self, *, window: int = 8, wait: int = 8, negative: float = 0.1, ddof: int = 1, bound: float = 10.0
    ) -> None:
        super().__init__(window, ddof)
        self.wait, self.negative, self.bound = wait, negative, bound

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of fresh and of replayed rows."""
        fresh, again = batch.valid & ~batch["replayed"], batch.valid & batch["replayed"]
        found = self._measure(float(batch.rewards[fresh].mean()) if fresh.any() else None)
        scale = found.improvement * (self.negative if found.improvement < 0 else 1.0)
        advantages = group_normalise(batch.rewards, batch.groups, fresh, ddof=1)
        credit = retrospective_advantages(
            batch["previous_advantages"][again], batch.groups.take(again), scale, bound=self.bound
        )
        advantages[again] = credit
        keep = ~batch["replayed"] | (self._window.steps > self.wait)
        return batch.signal(advantages=advantages, keep=keep, report={"pipo/improvement": found.improvement})


@register(
    "release/pipo",
    room="advantage",
    needs="state",
    inputs=_REPLAYED,
    certainty="code",
    source=_PIPO,
    formula="as pipo; the step's mean stands twice in the window, its first copy already in xi; population sd",
    papers=("pipo",),
)
class ReleasePIPO(PIPO):
    """PIPO as released: the window holds the present step, and a step that made things worse teaches nothing."""

    kind = "release/pipo"

    def __init__(self, *, window: int = 8, wait: int = 8, negative: float = 0.0, bound: float = 10.0) -> None:
        super().__init__(window=window, wait=wait, negative=negative, ddof=0, bound=bound)

    def _measure(self, mean: float | None) -> Progress:
        if mean is not None:
            self._window.add(mean)
        return super()._measure(mean)


@register(
    "pipo_gate",
    room="credit",
    needs="state",
    inputs=("rewards|token_rewards", "lengths|mask", "values"),
    certainty="code",
    source=f"{_PIPO} compute_ppo_layback_coefficients",
    formula="A_t = whitened GAE * clip(xi, low, high)",
    papers=("pipo",),
)
class PIPOGate(_Progressive):
    """PIPO with a critic: all advantages of a step are scaled by whether rewards rose; 0 at the first step."""

    kind = "pipo_gate"

    def __init__(
        self, *, window: int = 8, low: float = -2.0, high: float = 2.0, gamma: float = 1.0, lam: float = 1.0
    ) -> None:
        super().__init__(window, 1)
        self.low, self.high, self.gamma, self.lam = low, high, gamma, lam

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages by token, and the critic's targets."""
        mask = batch.mask & batch.valid[:, None]
        per_row = batch.token_rewards.sum(1)[batch.valid]
        found = self._measure(float(per_row.mean()) if per_row.size else None)
        raw = generalised_advantages(batch.token_rewards, batch["values"], mask, gamma=self.gamma, lam=self.lam)
        gate = min(max(found.improvement, self.low), self.high)
        whitened = standardise(raw, mask, eps=1e-8, stabiliser="variance")
        return batch.signal(
            token_advantages=gate * whitened,
            returns=np.where(mask, raw + batch["values"], 0.0),
            report={"pipo_gate/gate": gate},
        )


@register(
    "hapo",
    room="shaping",
    needs="state",
    inputs=("correct", "groups", "lengths|mask"),
    optional=("token_lists",),
    certainty="code",
    source=_HAPO,
    formula="r = correct + weight * max(-0.7, cos(pi/2 * len / h)) if right, min(0, cos) if wrong; h the shortest "
    "right answer of earlier steps",
    papers=("hapo",),
)
class HAPO(Tracker):
    """HAPO: a right answer is worth more when it is shorter than the right answers the prompt has had so far.

    Groups are prompts over the whole run: their ids must not change between epochs. All rows of a step are held
    against the lengths known before it. With ``repetition`` below 0 and ``token_lists``, repeated n-grams cost as well.
    A weight of at most 1 keeps every right answer above every wrong one.
    """

    kind = "hapo"
    parts = ("history",)
    _repeat = False

    def __init__(
        self,
        *,
        weight: float = 1.0,
        shape: HistoryShape = "cosine",
        statistic: LengthStatistic = "min",
        tolerance: float = 0.1,
        repetition: float = 0.0,
        ngram: int = 3,
    ) -> None:
        if not 0.0 <= weight <= 1.0:
            raise BadOption(f"hapo: weight = {weight} must lie in [0, 1], or wrong answers could pass right ones")
        self.weight, self.tolerance = weight, tolerance
        self.shape: HistoryShape = shape
        self.repetition, self.ngram = repetition, ngram
        self.history = LengthHistory(statistic=statistic)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards by the lengths known so far, which then take in the step."""
        valid, groups = batch.taken()
        correct, lengths = batch["correct"][valid], batch.lengths[valid].astype(np.float64)
        past = groups.spread(self.history.lengths(groups.labels.tolist()))
        short = history_length_reward(correct, lengths, past, shape=self.shape, tolerance=self.tolerance)
        rewards = correct + self.weight * short
        if self.repetition < 0:
            lists = batch.objects("token_lists")
            rewards = rewards + [
                repetition_penalty(lists[row], ngram=self.ngram, penalty=self.repetition)
                for row in np.flatnonzero(valid).tolist()
            ]
        self.history.update(groups, correct, lengths, repeat=self._repeat)
        known = float(np.isfinite(past).mean()) if past.size else 0.0
        return batch.signal(rewards=batch.scatter(rewards), report={"hapo/known": known})


@register(
    "release/hapo",
    room="shaping",
    needs="state",
    inputs=("correct", "groups", "lengths|mask"),
    optional=("token_lists",),
    certainty="code",
    source=_HAPO,
    formula="as hapo; a mean length counts each right answer once for every row of its prompt",
    papers=("hapo",),
)
class ReleaseHAPO(HAPO):
    """HAPO as released, whose loop over rows takes a step's right answers in several times (``statistic="mean"``)."""

    kind = "release/hapo"
    _repeat = True


@register(
    "running_reward_scale",
    room="shaping",
    needs="state",
    inputs=("rewards",),
    certainty="code",
    source="Secrets of RLHF II; OpenLMLab/MOSS-RLHF utils.py RunningMoments, ppo/ppo_trainer.py @4865d826",
    formula="r / std or (r - mean) / std of all rewards so far, this step included",
    papers=("secrets-ii",),
)
class RunningRewardScale(Tracker):
    """Rewards in units of their running deviation, as served to PPO.

    Nothing is divided before two different rewards have been seen. ``clip`` bounds the result; 0 for no bound.
    """

    kind = "running_reward_scale"
    parts = ("moments",)

    def __init__(self, *, centre: bool = False, clip: float = 0.0, least: float = 1e-6) -> None:
        if clip < 0 or not least > 0:
            raise BadOption(f"running_reward_scale: clip = {clip} is negative, or least = {least} not positive")
        self.centre, self.clip, self.least = centre, clip, least
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
        return max(spread, self.least) if spread > 0 else 1.0


@register(
    "release/running_reward_scale",
    room="shaping",
    needs="state",
    inputs=("rewards",),
    certainty="code",
    source="OpenLMLab/MOSS-RLHF utils.py RunningMoments @4865d826",
    formula="as running_reward_scale, from 1e-24 observations of mean 0 and variance 1",
    papers=("secrets-ii",),
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
