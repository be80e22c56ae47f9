"""Advantages against what earlier steps have shown: SPO, moving averages, running scales, multipliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import Ties, centred_ranks, group_normalise, softmax_shares, standardise
from trainer_client.signals.selection import draw_prompts
from trainer_client.signals.trackers import FadingMoments, Multipliers, RunningMoments, SuccessRates, saved_ids

_NAMED = ("rewards", "groups")
_SPO = "SPO (arXiv 2509.13232); verl-project/verl-recipe spo/spo_ray_trainer.py @48ea0a79"
_FAKER = "FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/grpo_train.py @2c208b85"


@register(
    "spo",
    room="advantage",
    needs="state",
    inputs=_NAMED,
    optional=("logprob_drift",),
    certainty="code",
    source=_SPO,
    formula="A_i = (r_i - v - mean) / (std + eps) over the batch; v = alpha / (alpha + beta) before the step; "
    "alpha <- rho * alpha + r, beta <- rho * beta + 1 - r, rho = clip(2^(-drift / half_drift), low, high)",
    papers=("spo",),
)
class SingleStream(SuccessRates):
    """SPO: one rollout a prompt, against a success rate that is remembered from step to step.

    ``groups`` are the prompts' ids, integers or strings that name the same prompt at every step. Rewards lie in
    [0, 1]. ``logprob_drift``, if given, says how far the policy has moved since a prompt's last visit; without it the
    past fades fastest. All rows of a step are compared with the rates before it; a prompt seen twice counts twice.
    `SuccessRates.start` begins with what offline samples showed, and ``sampling_weights`` says which prompts to draw.
    """

    kind = "spo"

    def __init__(
        self,
        *,
        prior: float = 0.5,
        forget_low: float = 0.875,
        forget_high: float = 0.96,
        half_drift: float = 0.06,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(prior=prior, forget_low=forget_low, forget_high=forget_high, half_drift=half_drift)
        self.eps = eps

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step; then the step's rewards become part of the memory."""
        valid, groups = batch.taken()
        prompts = saved_ids(groups.labels.tolist())
        baseline = groups.spread(self.rates(prompts))
        raw = batch.rewards[valid] - baseline
        advantages = self._standardised(raw)
        memory = self.memory(batch["logprob_drift"][valid]) if "logprob_drift" in batch else None
        self.update([prompts[g] for g in groups.index.tolist()], batch.rewards[valid], memory)
        known = float(baseline.mean()) if baseline.size else 0.0
        return batch.signal(advantages=batch.scatter(advantages), report={"spo/baseline": known})

    def _standardised(self, raw: FloatArray) -> FloatArray:
        """Over the batch; one row alone has no batch to be compared with and keeps its raw value."""
        return raw if raw.size == 1 else standardise(raw, np.ones(raw.size, np.bool_), eps=self.eps)


@register(
    "release/spo",
    room="advantage",
    needs="state",
    inputs=_NAMED,
    optional=("logprob_drift",),
    certainty="code",
    source=_SPO,
    formula="as spo; of a prompt seen twice in a step the last row counts; NaN for a step of one row",
    papers=("spo",),
)
class ReleasedSingleStream(SingleStream):
    """SPO of its release, where a prompt seen twice loses an update and a lone row has no deviation."""

    kind = "release/spo"

    def update(self, prompts: Any, rewards: Any, memory: Any = None) -> None:
        """All rows start from the counts before the step; the last one of a prompt is written."""
        last = {prompt: row for row, prompt in enumerate(prompts)}
        rows = list(last.values())
        super().update(list(last), rewards[rows], None if memory is None else memory[rows])

    def _standardised(self, raw: FloatArray) -> FloatArray:
        return np.full(1, np.nan) if raw.size == 1 else super()._standardised(raw)


@register(
    "spo_sampling",
    room="selection",
    needs="batch",
    inputs=("success_rates",),
    certainty="code",
    source=_SPO,
    formula="draw by sqrt(v * (1 - v)) + exploration",
    papers=("spo",),
)
def spo_sampling(batch: SignalBatch, *, size: int = 768, exploration: float = 0.05, seed: int = 0) -> Signal:
    """SPO's sampling of prompts: rows are candidates, those drawn are kept.

    Without replacement, so that all are kept where there are no more than ``size``. The draw depends on ``seed`` and
    on ``batch.step``.
    """
    valid = batch.valid
    rate = batch["success_rates"][valid]
    weights = np.sqrt(np.maximum(rate * (1.0 - rate), 0.0)) + exploration
    keep = np.zeros(batch.rows, np.bool_)
    rows = np.flatnonzero(valid)
    rng = np.random.default_rng((seed, batch.step or 0))
    keep[rows[draw_prompts(weights, min(size, rows.size), rng)]] = True
    return batch.signal(keep=keep)


@register(
    "rank_ema",
    room="advantage",
    needs="state",
    inputs=_NAMED,
    certainty="code",
    source=_FAKER,
    formula="A_i = (1 - mix) * rank in [-1, 1] + mix * (r_i - EMA mean) / (EMA std + 1e-6)",
    papers=("faker-air",),
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
    room="advantage",
    needs="state",
    inputs=_NAMED,
    certainty="code",
    source=_FAKER,
    formula="as rank_ema; equal rewards are ranked by batch order; a group of one has rank -1",
    papers=("faker-air",),
)
class ReleasedRankedAgainstAverage(RankedAgainstAverage):
    """FAKER-Air of its release, where equal rewards get different ranks."""

    kind = "release/rank_ema"

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step."""
        return self._signal(batch, "first")


@register(
    "softmax_shares",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="secondary",
    source="FAKER-Air, as its paper describes the advantage; its release computes rank_ema",
    formula="A_i = exp(r_i / tau) / sum over the group of exp(r / tau)",
    papers=("faker-air",),
)
def softmax_advantages(batch: SignalBatch, *, temperature: float = 1.0) -> Signal:
    """FAKER-Air's paper form: shares of a softmax over the group; positive throughout, and not centred."""
    if not temperature > 0:
        raise BadOption(f"temperature: {temperature} must be positive")
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(softmax_shares(batch.rewards[valid], groups, temperature)))


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "state" if options["scale"] == "running" else "group"


@register(
    "autorule",
    room="combination",
    needs=_needs_by_scale,
    inputs=("rewards", "components", "groups"),
    certainty="secondary",
    source="AutoRule (arXiv 2506.15651); the weight and the scale of the sum are ours",
    formula="R_i = r_i + weight * share of the rules fulfilled; r_i by its running mean and deviation if asked; GRPO",
    papers=("autorule",),
)
class RuleRewards(RunningMoments):
    """AutoRule: a preference model's reward plus the share of extracted rules that a judge finds fulfilled.

    ``rewards`` is the model's, ``components`` one column a rule (1 or 0), ``components_valid`` which were judged. The
    share is taken over the rules judged; a row without one is left out.
    """

    kind = "autorule"

    def __init__(self, *, weight: float = 1.0, scale: Literal["none", "running"] = "none", eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.scale, self.eps = weight, scale, eps

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards and advantages of a step."""
        rules = batch["components"]
        if not rules.shape[1]:
            raise BadInput("components: no rules; AutoRule needs at least one")
        given = batch.components_given
        judged = given.sum(1)
        live = batch.valid & (judged > 0)
        share = np.where(given, rules, 0.0).sum(1) / np.maximum(judged, 1)
        model = batch.rewards
        if self.scale == "running":
            self.update(model[live])
            spread = self.deviation()
            model = (model - self.mean) / (spread if spread > 0 else 1.0)
        rewards = np.where(live, model + self.weight * share, 0.0)
        return batch.signal(
            keep=live | ~batch.valid,
            rewards=rewards,
            advantages=group_normalise(rewards, batch.groups, live, eps=self.eps),
            report={"autorule/coverage": _share(given, batch.valid)},
        )


@register(
    "fgrpo",
    room="combination",
    needs="state",
    inputs=("components", "groups"),
    certainty="secondary",
    source="Faithful GRPO (arXiv 2604.08476); the constants are those of a project that adopts it",
    formula="A = A_0 + sum_k lambda_k * A_k, each normalised in the group; "
    "lambda_k <- clip(lambda_k + rate * (target_k - mean R_k), 0, limit)",
    papers=("fgrpo",),
)
class Constrained(Multipliers):
    """Faithful GRPO: constraints on mean rewards, each with a multiplier that rises while it is violated.

    The first component is the task's reward, the others the constraints', in the order of ``targets``;
    ``components_valid`` says which could be checked. A row without the task's reward is left out. The multipliers of
    before the step are used, then they take their step: call once per optimiser step on the whole batch.
    """

    kind = "fgrpo"

    def __init__(
        self,
        *,
        targets: tuple[float, ...],
        rate: float = 0.01,
        limit: float = 5.0,
        start: float = 0.0,
        rescale: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(targets, rate=rate, limit=limit, start=start)
        self.rescale, self.eps = rescale, eps

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of a step."""
        components, given = batch["components"], batch.components_given
        if components.shape[1] != self.targets.size + 1:
            raise BadInput(
                f"components: {components.shape[1]} columns for the task and {self.targets.size} constraints; "
                "give one target for each constraint"
            )
        live = given[:, 0]
        given = given & live[:, None]
        parts = [
            group_normalise(components[:, k], batch.groups, given[:, k], eps=self.eps)
            for k in range(components.shape[1])
        ]
        advantages = parts[0] + sum(value * part for value, part in zip(self.values, parts[1:], strict=True))
        if self.rescale:
            advantages = advantages / (1.0 + float(self.values.sum()))
        counts = given[:, 1:].sum(0)
        sums = np.where(given[:, 1:], components[:, 1:], 0.0).sum(0)
        used = self.values
        shortfall = self.update(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))
        return batch.signal(
            keep=live | ~batch.valid,
            advantages=advantages,
            report={"fgrpo/lambda": used.tolist(), "fgrpo/violation": np.nan_to_num(shortfall).tolist()},
        )


def _share(given: BoolArray, valid: BoolArray) -> float:
    return float(given.sum() / max(int(valid.sum()) * given.shape[1], 1))
