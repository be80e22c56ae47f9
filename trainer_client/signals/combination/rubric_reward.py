"""Reward and Guidance through Rubrics: Promoting Exploration to Improve Multi-Domain Reasoning (RGR-GRPO).

RGR-GRPO (arXiv 2511.12344), abstract and a reading note; normalisation and pitfalls are ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    InputError,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("rgr-grpo", __doc__, provenance="abstract")


def _positive_criterion(inputs: dict[str, Any]) -> None:
    if "criterion_weights" not in inputs:
        return
    inputs["criterion_weights"] = inputs["criterion_weights"].copy()
    inputs["criterion_weights"][:, 0] = np.abs(inputs["criterion_weights"][:, 0]) + 0.1


@register(
    "rubric_reward",
    paper=PAPER,
    needs="row",
    inputs=("components",),
    optional=("criterion_weights",),
    formula="r = sum_c w_c * v_c / sum_c max(w_c, 0) over the criteria with a verdict; held in [0, 1] with pitfalls",
    laws=Laws(prepare=_positive_criterion),
)
def rubric_reward(batch: SignalBatch) -> Signal:
    """RGR-GRPO's reward: the weighted share of a rubric's criteria that an answer meets.

    ``components`` are a judge's verdicts by criterion (0 to 1), ``criterion_weights`` their weights in the row's own
    rubric, 1 each if the batch carries none. A missing verdict (``components_valid``) leaves its criterion out, and
    the share of such rows is reported; a row without any verdict is masked. Reported as well: how often each
    criterion is met.
    """
    verdicts, present = batch["components"], batch.components_given
    weights = batch["criterion_weights"] if "criterion_weights" in batch else np.ones(verdicts.shape)
    rows = batch.valid
    rewards, judged = share_of_rubric(verdicts[rows], weights[rows], present[rows])
    is_asked = (weights != 0) & rows[:, None]
    has_verdict = is_asked & present
    hits = np.where(has_verdict, verdicts, 0.0).sum(0) / np.maximum(has_verdict.sum(0), 1)
    partial = (is_asked & ~present).any(1)[rows]
    keep = ~rows
    keep[rows] = judged
    return batch.signal(
        keep=keep,
        rewards=batch.scatter(np.where(judged, rewards, 0.0)),
        report={
            "rubric/partly_judged": float(partial.mean()) if partial.size else 0.0,
            "rubric/hit_rates": hits.tolist(),
        },
    )


def share_of_rubric(verdicts: FloatArray, weights: FloatArray, given: BoolArray) -> tuple[FloatArray, BoolArray]:
    """``[N]`` weighted share of the criteria met, and which rows have a verdict to take it from.

    ``sum w * v / sum of positive w`` over the criteria that hold a verdict; those without one are left out of both
    sums. Negative weights are pitfalls: they subtract, and the reward is held within [0, 1].

    Args:
        verdicts: ``[N, K]``, 0 to 1.
        weights: ``[N, K]``; 0 where a row's rubric has no such criterion.
        given: ``[N, K]`` verdicts that exist.

    Raises:
        InputError: a row's rubric has no criterion with a positive weight.
    """
    positive = np.maximum(weights, 0.0)
    bare = np.flatnonzero(positive.sum(1) <= 0) if positive.size else np.arange(len(weights))
    if bare.size:
        raise InputError(
            f"criterion_weights: row {bare[0]} has no criterion with a positive weight; a rubric needs one"
        )
    reach = np.where(given, positive, 0.0).sum(1)
    earned = np.where(given, weights * verdicts, 0.0).sum(1)
    rewards = earned / np.where(reach > 0, reach, 1.0)
    pitfalls = (weights < 0).any(1)
    return np.where(pitfalls, np.clip(rewards, 0.0, 1.0), rewards), reach > 0
