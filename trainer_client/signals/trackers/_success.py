"""A belief about each prompt's success rate, kept over steps."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats, require_finite
from trainer_client.signals._errors import BadInput, BadOption

from ._tracker import Tracker, saved_ids


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
            raise BadOption(f"forget_low: {forget_low} and forget_high: {forget_high} must rise within (0, 1)")
        if not (prior > 0 and half_drift > 0):
            raise BadOption(f"prior: {prior} and half_drift: {half_drift} must be positive")
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
            raise BadInput(f"successes: {successes} among {trials} trials of prompt {prompt!r}")
        weight = 1.0 / (1.0 - self.forget_low) if trials else 2 * self.prior
        share = (successes + 0.5) / (trials + 1)
        (prompt,) = saved_ids([prompt])
        self._counts[prompt] = (weight * share, weight * (1.0 - share))

    def set(self, prompt: Hashable, alpha: float, beta: float) -> None:
        """Put given counts in place."""
        if not (alpha >= 0 and beta >= 0 and alpha + beta > 0):
            raise BadInput(f"alpha: {alpha} and beta: {beta} of prompt {prompt!r} must not be negative or both 0")
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
            BadInput: a reward lies outside [0, 1].
        """
        reward = as_floats("rewards", rewards, 1)
        require_finite("rewards", reward)
        outside = np.flatnonzero((reward < 0) | (reward > 1))
        if outside.size:
            raise BadInput(
                f"rewards: row {outside[0]} holds {reward[outside[0]]}; success lies in [0, 1], map it there"
            )
        kept = np.full(reward.size, self.forget_low) if memory is None else as_floats("memory", memory, 1)
        for prompt, r, rho in zip(saved_ids(prompts), reward.tolist(), kept.tolist(), strict=True):
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
