"""Single-stream Policy Optimization (SPO).

SPO (arXiv 2509.13232); verl-project/verl-recipe spo/spo_ray_trainer.py @48ea0a79.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Input,
    InputError,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    golden,
    method,
    register,
    require_finite,
)
from trainer_client.signals.parts.standardise import standardise
from trainer_client.signals.parts.state import Tracker, saved_ids

PAPER = Paper("spo", __doc__, provenance="code")

_LOGPROB_DRIFT = Input(
    "logprob_drift", "N", "float", "mean absolute change of the log-probabilities of the prompt's last answer"
)


def _drifts(inputs: dict[str, Any]) -> None:
    if "logprob_drift" in inputs:
        inputs["logprob_drift"] = np.abs(inputs["logprob_drift"]) / 20


class SuccessRates(Tracker):
    """Beta counts ``(alpha, beta)`` of each prompt, whose past fades by ``rho`` with every new observation.

    ``alpha <- rho * alpha + r``, ``beta <- rho * beta + 1 - r``. A prompt never seen stands at ``(prior, prior)``.

    Args:
        prior: counts of an unseen prompt.
        forget_low: smallest ``rho``, for a policy that has moved far; ``1 / (1 - rho)`` observations are remembered.
        forget_high: largest ``rho``.
        half_drift: drift of the policy that halves the memory.

    Source: SPO (arXiv 2509.13232); verl-project/verl-recipe spo/spo_ray_trainer.py @48ea0a79.
    """

    kind = "success_rates"

    def __init__(
        self, *, prior: float = 0.5, forget_low: float = 0.875, forget_high: float = 0.96, half_drift: float = 0.06
    ) -> None:
        if not 0 < forget_low <= forget_high < 1:
            raise OptionError(f"forget_low: {forget_low} and forget_high: {forget_high} must rise within (0, 1)")
        if not (prior > 0 and half_drift > 0):
            raise OptionError(f"prior: {prior} and half_drift: {half_drift} must be positive")
        self.prior, self.half_drift = prior, half_drift
        self.forget_low, self.forget_high = forget_low, forget_high
        self._counts: dict[Hashable, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, prompt: Hashable) -> bool:
        return prompt in self._counts

    def start(self, prompt: Hashable, successes: int, trials: int) -> None:
        """Begin with what earlier answers of the policy showed, at the weight of one full memory.

        With none, the prompt stands at half success and the same weight as one never seen.
        """
        if not 0 <= successes <= trials:
            raise InputError(f"successes: {successes} among {trials} trials of prompt {prompt!r}")
        weight = 1.0 / (1.0 - self.forget_low) if trials else 2 * self.prior
        share = (successes + 0.5) / (trials + 1)
        (prompt,) = saved_ids([prompt])
        self._counts[prompt] = (weight * share, weight * (1.0 - share))

    def set(self, prompt: Hashable, alpha: float, beta: float) -> None:
        """Put given counts in place."""
        if not (alpha >= 0 and beta >= 0 and alpha + beta > 0):
            raise InputError(f"alpha: {alpha} and beta: {beta} of prompt {prompt!r} must not be negative or both 0")
        (prompt,) = saved_ids([prompt])
        self._counts[prompt] = (float(alpha), float(beta))

    def counts(self, prompt: Hashable) -> tuple[float, float]:
        """``(alpha, beta)``."""
        return self._counts.get(prompt, (self.prior, self.prior))

    def rates(self, prompts: Iterable[Hashable]) -> FloatArray:
        """``[N]`` expected success rate of each."""
        return np.array([a / (a + b) for a, b in map(self.counts, prompts)])

    def memory(self, drift: ArrayLike) -> FloatArray:
        """``[N]`` ``rho = 2^(-drift / half_drift)``, held within the two bounds.

        Args:
            drift: ``[N]`` mean absolute change of the log-probabilities of the prompt's last answer.
        """
        moved = as_floats("logprob_drift", drift)
        return np.clip(2.0 ** (-moved / self.half_drift), self.forget_low, self.forget_high)

    def update(self, prompts: Sequence[Hashable], rewards: ArrayLike, memory: ArrayLike | None = None) -> None:
        """Take in one observation a row, in order, so that a prompt seen twice counts twice.

        Raises:
            InputError: a reward lies outside [0, 1].
        """
        reward = as_floats("rewards", rewards, 1)
        require_finite("rewards", reward)
        outside = np.flatnonzero((reward < 0) | (reward > 1))
        if outside.size:
            raise InputError(
                f"rewards: row {outside[0]} holds {reward[outside[0]]}; success lies in [0, 1], map it there"
            )
        retention = np.full(reward.size, self.forget_low) if memory is None else as_floats("memory", memory, 1)
        for prompt, r, rho in zip(saved_ids(prompts), reward.tolist(), retention.tolist(), strict=True):
            alpha, beta = self.counts(prompt)
            self._counts[prompt] = (rho * alpha + r, rho * beta + 1.0 - r)

    def sampling_weights(self, prompts: Iterable[Hashable], *, exploration: float = 0.05) -> FloatArray:
        """``[N]`` ``sqrt(v * (1 - v)) + exploration``: uncertain prompts first, every prompt sometimes."""
        rate = self.rates(prompts)
        return np.sqrt(rate * (1.0 - rate)) + exploration

    def _state(self) -> dict[str, Any]:
        return {"counts": [[prompt, alpha, beta] for prompt, (alpha, beta) in self._counts.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._counts = {prompt: (float(alpha), float(beta)) for prompt, alpha, beta in state["counts"]}


@register(
    "spo",
    paper=PAPER,
    needs="state",
    inputs=("rewards", "groups"),
    optional=(_LOGPROB_DRIFT,),
    formula=(
        "A_i = (r_i - v - mean) / (std + eps) over the batch; v = alpha / (alpha + beta) before the step; "
        "alpha <- rho * alpha + r, beta <- rho * beta + 1 - r, rho = clip(2^(-drift / half_drift), low, "
        "high)"
    ),
    laws=Laws(rewards="binary", prepare=_drifts),
    within=(0.0, 1.0),
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
        mean_baseline = float(baseline.mean()) if baseline.size else 0.0
        return batch.signal(advantages=batch.scatter(advantages), report={"spo/baseline": mean_baseline})

    def _standardised(self, raw: FloatArray) -> FloatArray:
        """Over the batch; one row alone has no batch to be compared with and keeps its raw value."""
        return raw if raw.size == 1 else standardise(raw, np.ones(raw.size, np.bool_), eps=self.eps)


@register(
    "release/spo",
    like="spo",
    formula="as spo; of a prompt seen twice in a step the last row counts; NaN for a step of one row",
    laws=Laws(finite=False, rewards="binary", prepare=_drifts),
    within=(0.0, 1.0),
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


@golden("spo_tracker_init")
def _(case: Case) -> Any:
    tracker = SuccessRates(forget_low=case.params["rho_clip_lower"])
    for prompt, scores in case.inputs["offline_scores"].items():
        trials = min(len(scores), case.params["offline_N"])
        tracker.start(prompt, sum(score > 0 for score in scores[:trials]), trials)
    counts = {prompt: tracker.counts(prompt) for prompt in case.inputs["offline_scores"]}
    return {"alpha": {p: c[0] for p, c in counts.items()}, "beta": {p: c[1] for p, c in counts.items()}}


@golden("spo_advantage")
def _(case: Case) -> Any:
    params = case.params
    names = {"forget_low": params["rho_min"], "forget_high": params["rho_max"], "half_drift": params["D_half"]}
    rewards, drift = case.array("rewards"), case.array("mean_abs_logprob_diff")
    estimator = method("release/spo" if rewards.size == 1 else "spo", eps=params["eps"], **names)
    prompts = list(range(rewards.size))
    counts = zip(prompts, case.inputs["alpha"], case.inputs["beta"], strict=True)
    tracker = SuccessRates(**names)
    for prompt, alpha, beta in counts:
        tracker.set(prompt, alpha, beta)
    state = estimator.state_dict()
    estimator.load_state_dict({**state, "state": {**state["state"], "counts": tracker.state_dict()["counts"]}})
    known = tracker.rates(prompts)
    signal = estimator(SignalBatch(rewards, prompts, logprob_drift=drift))
    after = {prompt: (alpha, beta) for prompt, alpha, beta in estimator.state_dict()["state"]["counts"]}
    return {
        "p_hat": known,
        "advantage_raw": rewards - known,
        "advantage_normalized": signal.advantages,
        "rho": tracker.memory(drift),
        "alpha_next": [after[prompt][0] for prompt in prompts],
        "beta_next": [after[prompt][1] for prompt in prompts],
    }


@golden("spo_sampling_weights")
def _(case: Case) -> Any:
    tracker = SuccessRates()
    prompts = list(range(len(case.inputs["alpha"])))
    for prompt in prompts:
        tracker.set(prompt, case.inputs["alpha"][prompt], case.inputs["beta"][prompt])
    weights = tracker.sampling_weights(prompts, exploration=case.params["exploration_epsilon"])
    return {"weights": weights, "probabilities": weights / weights.sum()}
