"""TempSamp-R1: a group with the annotated answer in it, kept from pushing all rollouts below zero.

TempSamp-R1 (arXiv 2509.18056); ZhangZikun6666/TempSamp-R1 scripts/timelens @55a92280 (by others).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals.authoring import Laws, Signal, SignalBatch, register
from trainer_client.signals.parts.asymmetric import asymmetric_shaping
from trainer_client.signals.parts.group_normalise import group_normalise


@register(
    "tempsamp_r1",
    paper="tempsamp-r1",
    needs="group",
    inputs=("rewards", "groups", "helped"),
    provenance="secondary",
    formula="r >= t: t + a * ln(r - t + 1); r < t: t - (exp(b*(t-r)) - 1) / (exp(b) - 1); then GRPO",
    laws=Laws(constant=True, rewards="binary"),
    within=(0.0, 1.0),
)
def tempsamp_r1(
    batch: SignalBatch,
    *,
    handling: Literal["shape", "joint", "downscale", "anchor"] = "shape",
    threshold: float = 0.8,
    high: float = 0.01,
    low: float = 1.0,
    downscale: float = 0.8,
    anchor: float = 1.2,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """TempSamp-R1: a group with the annotated answer in it, kept from pushing all rollouts below zero.

    ``helped`` marks the given answer; for it the trainer has no log-probabilities of the sampling policy.
    ``shape`` bends all rewards (the paper's best), ``downscale`` multiplies that of the given answer, ``anchor`` takes
    statistics from the policy's own rollouts and gives the answer a multiple of their best advantage, at least 0;
    ``joint`` does nothing about it. A group of given answers alone has no signal.
    """
    rewards, unhinted = batch.rewards, batch["helped"]
    own = batch.valid & ~unhinted
    if handling == "shape":
        rewards = asymmetric_shaping(rewards, threshold=threshold, high=high, low=low)
    elif handling == "downscale":
        rewards = np.where(unhinted, downscale * rewards, rewards)
    if handling == "anchor":
        relative = group_normalise(rewards, batch.groups, own, ddof=ddof, eps=eps)
        best = np.maximum(batch.groups.max(np.where(own, relative, 0.0)), 0.0)
        advantages = np.where(unhinted, anchor * batch.groups.spread(best), relative)
    else:
        advantages = group_normalise(rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    advantages = np.where(batch.groups.spread(batch.groups.any(own)), advantages, 0.0)
    return batch.signal(rewards=rewards, advantages=advantages)
