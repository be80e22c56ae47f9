"""GRPO-CARE: Consistency-Aware RL for Multimodal Reasoning.

GRPO-CARE, TencentARC/GRPO-CARE src/r1-v/src/open_r1/trainer/grpo_trainer_ref_ema.py @b0628fcc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("grpo-care", __doc__, provenance="code")

_ANSWER_LIKELIHOOD = Input(
    "answer_likelihood",
    "N",
    "float",
    "likelihood of the answer given the reasoning",
    beside="answer_found",
    within=(0.0, 1.0),
)
_ANSWER_FOUND = Input("answer_found", "N", "bool", "there is an answer to take the likelihood of")


@register(
    "grpo_care",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "accuracy", _ANSWER_LIKELIHOOD),
    optional=(_ANSWER_FOUND,),
    formula="R = r + c * accuracy for peers with min(p, ceiling) >= their mean - margin; A = (R - mean) / (std + 1e-4)",
)
def grpo_care(
    batch: SignalBatch,
    *,
    coefficient: float = 0.5,
    margin: float = 0.01,
    ceiling: float | None = 0.95,
    floor: float = 0.1,
    eps: float = 1e-4,
) -> Signal:
    """GRPO-CARE: accurate rollouts whose answer follows from their reasoning earn a bonus.

    ``rewards`` is the sum of all base rewards, ``accuracy`` one of them. ``answer_likelihood`` comes from a slow copy
    of the policy. A row without an answer to score (``answer_found``) earns none and joins no mean.
    """
    valid, groups = batch.taken()
    known = batch["answer_found"][valid] if "answer_found" in batch else np.ones(int(valid.sum()), np.bool_)
    bonus = consistency_bonus(
        batch["accuracy"][valid],
        batch["answer_likelihood"][valid],
        known,
        groups,
        coefficient=coefficient,
        margin=margin,
        ceiling=ceiling,
        floor=floor,
    )
    rewards = batch.rewards + batch.scatter(bonus)
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, valid, eps=eps))


def consistency_bonus(
    accuracy: FloatArray,
    likelihood: FloatArray,
    known: BoolArray,
    groups: Groups,
    *,
    coefficient: float = 0.5,
    margin: float = 0.01,
    ceiling: float | None = 0.95,
    floor: float = 0.1,
) -> FloatArray:
    """``[N]`` bonus of accurate rows whose answer follows from their reasoning as well as their peers' does.

    The peers are the rows of the group with ``accuracy > floor`` and at least the group's mean accuracy. A peer whose
    likelihood (cut at ``ceiling``) reaches the peers' mean less ``margin`` gets ``coefficient * accuracy``.

    Args:
        accuracy: ``[N]``.
        likelihood: ``[N]`` ``exp(mean log-probability of the answer's tokens given the reasoning)`` under a slow
            reference model.
        known: ``[N]`` rows that have one; a row without an answer to score gets no bonus and joins no mean.
        groups: partition of the rows.
        coefficient: factor of the accuracy.
        margin: slack below the peers' mean.
        ceiling: likelihoods above count as this, so that certainty alone does not win; None for no bound.
        floor: accuracy that a peer must pass.

    Source: GRPO-CARE, TencentARC/GRPO-CARE src/r1-v/src/open_r1/trainer/grpo_trainer_ref_ema.py @b0628fcc.
    """
    capped = likelihood if ceiling is None else np.minimum(likelihood, ceiling)
    # Equal values may fall short of their own rounded mean, here and below.
    peers = (accuracy > floor) & (accuracy >= groups.spread(groups.mean(accuracy)) - 1e-12) & known
    number = groups.sum(peers)
    mean = groups.sum(np.where(peers, capped, 0.0)) / np.maximum(number, 1)
    reached = capped >= groups.spread(mean) - margin - 1e-12
    return np.where(peers & reached, coefficient * accuracy, 0.0)


@golden("grpo_care")
def _(case: Case) -> Any:
    params = case.params
    accuracy = case.array("accuracy_rewards")
    base = accuracy + case.array("other_rewards")
    batch = SignalBatch(
        base, one_group(base.size), accuracy=accuracy, answer_likelihood=case.array("answer_likelihood")
    )
    estimator = method(
        "grpo_care",
        coefficient=params["bonus_coefficient"],
        margin=params["consistency_margin"] or 0.0,
        ceiling=params["confidence_upper_bound"],
        floor=params["accuracy_floor"],
        eps=params["eps"],
    )
    signal = estimator(batch)
    return {"bonus": np.asarray(signal.rewards) - base, "rewards": signal.rewards, "advantages": signal.advantages}
