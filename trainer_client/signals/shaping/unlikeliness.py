"""Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening.

Rewarding the Unlikely (arXiv 2506.02355) section 4; AndreHe02/rewarding-unlikely-release
verl/trainer/ppo/ray_lean_trainer.py @ca1cff05.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    InputError,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
    resolve,
)
from trainer_client.signals.parts.tokens import mean_logprobs

PAPER = Paper("unlikeliness", __doc__, provenance="code")


def _not_negative(inputs: dict[str, Any]) -> None:
    inputs["rewards"] = np.abs(inputs["rewards"])


@register(
    "unlikeliness",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "old_logprobs", "lengths|mask"),
    formula="r_i * (1 - penalty * k_i / n), k_i the rank by mean log-probability, 0 for the least likely",
    laws=Laws(prepare=_not_negative),
    within=(0.0, float("inf")),
)
def unlikeliness_reward(batch: SignalBatch, *, penalty: float = 0.25) -> Signal:
    """Unlikeliness reward: of right answers, those the policy found likely earn less; GRPO follows as its own stage.

    An all-right group gets a signal again. Negative rewards are refused: the factor would raise them. The recipe
    adds two optimiser epochs a batch and a KL weight of 0.1.
    """
    bad = np.flatnonzero(batch.valid & (batch.rewards < 0))
    if bad.size:
        raise InputError(
            f"rewards: row {bad[0]} holds {batch.rewards[bad[0]]}, and the penalty would raise it; shift rewards to "
            "start at 0"
        )
    return _unlikely(batch, penalty)


@register(
    "release/unlikeliness",
    like="unlikeliness",
    source="AndreHe02/rewarding-unlikely-release verl/trainer/ppo/ray_lean_trainer.py @ca1cff05",
    formula="as unlikeliness, negative rewards included",
)
def release_unlikeliness(batch: SignalBatch, *, penalty: float = 0.25) -> Signal:
    """Unlikeliness reward of the release, which shrinks negative rewards of likely answers towards 0."""
    return _unlikely(batch, penalty)


def _unlikely(batch: SignalBatch, penalty: float) -> Signal:
    valid, groups = batch.taken()
    scores = mean_logprobs(batch["old_logprobs"], batch.mask)[valid]
    return batch.signal(rewards=batch.scatter(unlikeliness(batch.rewards[valid], scores, groups, penalty=penalty)))


def unlikeliness(rewards: FloatArray, scores: FloatArray, groups: Groups, *, penalty: float = 0.25) -> FloatArray:
    """``[N]`` rewards ``r * (1 - penalty * k / n)``, ``k`` the row's rank by likelihood, 0 for the least likely.

    Tied rows rank in batch order.

    Args:
        rewards: ``[N]``; a negative one is shrunk as well, so that the likely failure loses less.
        scores: ``[N]`` length-averaged log-probabilities under the sampling policy.
        groups: partition of the rows; ``n`` is a group's size.
        penalty: what the likeliest of many loses, in [0, 1].

    Raises:
        OptionError: ``penalty`` is outside [0, 1].

    Source: "Rewarding the Unlikely" (arXiv 2506.02355) section 4; AndreHe02/rewarding-unlikely-release
    verl/trainer/ppo/ray_lean_trainer.py @ca1cff05.
    """
    if not 0.0 <= penalty <= 1.0:
        raise OptionError(f"penalty: {penalty} must lie in [0, 1]")
    share = groups.apply(np.divide, groups.rank(scores).astype(np.float64), groups.sizes)
    return rewards * (1.0 - penalty * share)


@golden("unlikeliness_reward")
def _(case: Case) -> Any:
    negative = bool((case.array("rewards") < 0).any())
    stages = [
        {"name": "release/unlikeliness" if negative else "unlikeliness", "penalty": case.params["rank_penalty"]},
        {"name": "grpo_verl", "eps": case.params["epsilon"]},
    ]
    return resolve(stages)(case.batch(old_logprobs=case.array("old_log_probs"))).advantages
