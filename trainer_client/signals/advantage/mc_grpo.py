"""MC-GRPO: Median-Centered GRPO for Small-Rollout RL.

MC-GRPO, lotusroot-kim/MC-GRPO src/open_r1/grpo_trainer_math.py @da077455; the deviation where the MAD vanishes is
ours.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("mc-grpo", __doc__, provenance="code")


@register(
    "mc_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="A_i = (r_i - median) / (MAD + eps), std for MAD <= floor; the median row is left out",
    laws=Laws(shift=True, constant=True, permutation=False, options={"clip": 3.0}),
)
def mc_grpo(
    batch: SignalBatch,
    *,
    scale: Literal["mad", "std", "none"] = "mad",
    floor: float = 1e-3,
    eps: float = 1e-3,
    clip: float = 0.0,
) -> Signal:
    """MC-GRPO: rewards relative to the group's median, over its median absolute deviation.

    Generate one rollout more than is trained on: the one that is the median has no advantage and is not kept (the
    first of equals; of two middle values the lower; a group of one is kept). Binary rewards often have a MAD of 0,
    which would blow the rest up to 1/eps: up to ``floor`` the standard deviation takes its place. ``clip`` bounds
    the result if it is positive.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    centred = group_normalise(rewards, groups, centre="median", scale="none")
    if scale != "none":
        spread = groups.deviation(rewards, 1)
        if scale == "mad":
            mad = groups.median_deviation(rewards)
            spread = np.where(mad > floor, mad, spread)
        centred = groups.apply(np.divide, centred, np.where(spread > 0, spread, 1.0) + eps)
    if clip > 0:
        centred = np.clip(centred, -clip, clip)
    return batch.signal(keep=_without_pivots(batch), advantages=batch.scatter(centred))


@register(
    "release/mc_grpo",
    like="mc_grpo",
    source="MC-GRPO, lotusroot-kim/MC-GRPO src/open_r1/grpo_trainer_math.py @da077455",
    formula="A_i = (r_i - median) / (MAD + eps); the median row is left out",
    laws=Laws(shift=True, constant=True, permutation=False),
)
def release_mc_grpo(batch: SignalBatch, *, eps: float = 1e-3) -> Signal:
    """MC-GRPO of its release, where a vanishing MAD makes advantages of a thousand."""
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, centre="median", scale="mad", eps=eps)
    return batch.signal(keep=_without_pivots(batch), advantages=advantages)


@register(
    "release/mc_grpo_rescaled",
    like="mc_grpo",
    source="MC-GRPO, lotusroot-kim/MC-GRPO src/open_r1/grpo_trainer_gsm.py @da077455",
    formula="as release/mc_grpo, times the rows of the group over those with a nonzero advantage",
    laws=Laws(shift=True, constant=True, permutation=False),
)
def release_mc_grpo_rescaled(batch: SignalBatch, *, eps: float = 1e-3, zero: float = 1e-6) -> Signal:
    """MC-GRPO of its GSM8K trainer, which scales advantages up by how few of the group are not zero."""
    valid, groups = batch.taken()
    raw = group_normalise(batch.rewards[valid], groups, centre="median", scale="mad", eps=eps)
    live = groups.sum(np.abs(raw) > zero)
    scaled = groups.apply(np.multiply, raw, groups.sizes / np.maximum(live, 1))
    return batch.signal(keep=_without_pivots(batch), advantages=batch.scatter(scaled))


def _without_pivots(batch: SignalBatch) -> np.ndarray:
    """``[N]`` all rows but the median of each group that has more than one."""
    valid, groups = batch.taken()
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = ~median_pivots(batch.rewards[valid], groups) | (groups.spread(groups.sizes) == 1)
    return keep


def median_pivots(rewards: FloatArray, groups: Groups) -> BoolArray:
    """``[N]`` one row a group: the first that holds the median (of two middle values the lower)."""
    median = groups.median(rewards, "lower")
    at_median = rewards == groups.spread(median)
    first = groups.min(np.where(at_median, np.arange(rewards.size), rewards.size))
    result: BoolArray = np.arange(rewards.size) == groups.spread(first)
    return result


@golden("mc_grpo", "mc_grpo_rescaled", atol=0.0)
def _(case: Case) -> Any:
    # The source subtracts in float32, where rewards of 0.5 in steps of 1e-4 are not what their decimals say.
    batch = case.grouped("rollouts_per_prompt")
    batch = batch.replace(rewards=batch.rewards.astype(np.float32))
    signal = method(f"release/{case.method}", eps=case.params["mad_eps"])(batch)
    dropped, expected = ~signal.keep, np.asarray(case.output["median_mask"])
    # Which of equal rewards is left out is not defined in the source; another of the same value is as good.
    left_out = expected if np.array_equal(batch.rewards[dropped], batch.rewards[expected]) else dropped
    whole = np.asarray(signal.advantages) + np.zeros(batch.rows)
    return {"advantages_all": whole, "median_mask": left_out, "kept_advantages": whole[~left_out]}
